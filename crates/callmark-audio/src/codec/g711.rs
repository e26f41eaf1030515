//! ITU-T G.711: mu-law and A-law codes to linear samples (full scale 32768).

/// Linear sample of each mu-law code.
pub(crate) static ULAW: [i16; 256] = {
    let mut samples = [0; 256];
    let mut code = 0;
    while code < 256 {
        samples[code] = ulaw_sample(code as u8);
        code += 1;
    }
    samples
};

/// Linear sample of each A-law code.
pub(crate) static ALAW: [i16; 256] = {
    let mut samples = [0; 256];
    let mut code = 0;
    while code < 256 {
        samples[code] = alaw_sample(code as u8);
        code += 1;
    }
    samples
};

/// G.711 table 2: all bits inverted; sign, three bits of segment, four of step; 14 bits scaled to 16.
const fn ulaw_sample(code: u8) -> i16 {
    let code = !code;
    let segment = (code >> 4) & 0x07;
    let step = (code & 0x0F) as i16;
    let magnitude = (((step << 3) + 0x84) << segment) - 0x84;
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

/// G.711 table 1: even bits inverted; sign, three bits of segment, four of step; 13 bits scaled to 16.
const fn alaw_sample(code: u8) -> i16 {
    let code = code ^ 0x55;
    let segment = (code >> 4) & 0x07;
    let step = ((code & 0x0F) as i16) << 4;
    let magnitude = match segment {
        0 => step + 8,
        _ => (step + 0x108) << (segment - 1),
    };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mu_law_codes_have_the_values_of_the_standard() {
        // 14-bit decoder output values of G.711 table 2, times four.
        for (code, sample) in
            [(0xFF, 0), (0x7F, 0), (0x80, 32_124), (0x00, -32_124), (0xFE, 8), (0xEF, 132), (0x8F, 16_764)]
        {
            assert_eq!(ULAW[code], sample, "{code:#x}");
        }
    }

    #[test]
    fn a_law_codes_have_the_values_of_the_standard() {
        // 13-bit decoder output values of G.711 table 1, times eight.
        for (code, sample) in
            [(0xD5, 8), (0x55, -8), (0xAA, 32_256), (0x2A, -32_256), (0xC5, 264), (0x80, 5_504)]
        {
            assert_eq!(ALAW[code], sample, "{code:#x}");
        }
    }
}
