//! Small recordings of every container that is read here without a library, made on the spot.

/// Frames of each made recording.
pub(crate) const FRAMES: u32 = 2_000;

/// 16-bit samples of a decaying tone, one channel after the other in each frame.
pub(crate) fn tone(channels: u16) -> Vec<i16> {
    (0..FRAMES)
        .flat_map(|n| {
            (0..channels).map(move |channel| {
                let phase = f64::from(n) * 0.2 * f64::from(channel + 1);
                (phase.sin() * 9_000.0 * (1.0 - f64::from(n) / 4_000.0)) as i16
            })
        })
        .collect()
}

fn little(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn big(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_be_bytes()).collect()
}

/// Bytes of a linear congruential generator: codes that any ADPCM takes.
fn codes(count: usize) -> Vec<u8> {
    let mut state = 7_u32;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

fn format_chunk(tag: u16, channels: u16, block_bytes: u16, bits: u16, extra: &[u8]) -> Vec<u8> {
    let mut chunk = Vec::new();
    for part in [tag, channels] {
        chunk.extend(part.to_le_bytes());
    }
    chunk.extend(8_000_u32.to_le_bytes());
    chunk.extend((8_000 * u32::from(block_bytes)).to_le_bytes());
    for part in [block_bytes, bits, extra.len() as u16] {
        chunk.extend(part.to_le_bytes());
    }
    chunk.extend(extra);
    chunk
}

/// A WAV file of `data`; `data_size` is what its header says of their length.
pub(crate) fn wav(format: &[u8], data: &[u8], data_size: u32) -> Vec<u8> {
    let mut file = b"RIFF".to_vec();
    file.extend((20 + format.len() as u32 + data.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend((format.len() as u32).to_le_bytes());
    file.extend(format);
    file.extend(b"data");
    file.extend(data_size.to_le_bytes());
    file.extend(data);
    file
}

/// A two-channel 16-bit WAV file at 8 kHz whose header gives `data_size` as the length of the sound.
pub(crate) fn stereo_wav(data_size: u32) -> Vec<u8> {
    wav(&format_chunk(1, 2, 4, 16, &[]), &little(&tone(2)), data_size)
}

/// A 16-bit WAV header with any channels and rate, without sound.
pub(crate) fn wav_header(channels: u16, rate_hz: u32, data_size: u32) -> Vec<u8> {
    let mut format = format_chunk(1, channels, channels.wrapping_mul(2), 16, &[]);
    format[4..8].copy_from_slice(&rate_hz.to_le_bytes());
    wav(&format, &[0; 64], data_size)
}

/// An extensible WAV header around 24-bit samples.
fn extensible_wav() -> Vec<u8> {
    let data: Vec<u8> =
        tone(1).iter().flat_map(|s| (i32::from(*s) << 8).to_le_bytes()[..3].to_vec()).collect();
    let mut extra = vec![24, 0, 4, 0, 0, 0];
    extra.extend([1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71]);
    wav(&format_chunk(0xFFFE, 1, 3, 24, &extra), &data, data.len() as u32)
}

fn plain(tag: u16, block_bytes: u16, bits: u16, extra: &[u8], data: &[u8]) -> Vec<u8> {
    wav(&format_chunk(tag, 1, block_bytes, bits, extra), data, data.len() as u32)
}

fn rf64() -> Vec<u8> {
    let data = little(&tone(1));
    let mut file = b"RF64\xFF\xFF\xFF\xFFWAVEds64".to_vec();
    file.extend(28_u32.to_le_bytes());
    for size in [data.len() as u64 + 72, data.len() as u64, u64::from(FRAMES)] {
        file.extend(size.to_le_bytes());
    }
    file.extend([0; 4]);
    let inner = wav(&format_chunk(1, 1, 2, 16, &[]), &data, u32::MAX);
    file.extend(&inner[12..]);
    file
}

fn w64() -> Vec<u8> {
    const TAIL: [u8; 12] = [0xF3, 0xAC, 0xD3, 0x11, 0x8C, 0xD1, 0x00, 0xC0, 0x4F, 0x8E, 0xDB, 0x8A];
    let (format, data) = (format_chunk(1, 1, 2, 16, &[0; 6]), little(&tone(1)));
    let mut file = b"riff\x2E\x91\xCF\x11\xA5\xD6\x28\xDB\x04\xC1\x00\x00".to_vec();
    file.extend((112 + data.len() as u64).to_le_bytes());
    file.extend(b"wave");
    file.extend(TAIL);
    for (name, body) in [(b"fmt ", &format), (b"data", &data)] {
        file.extend(name);
        file.extend(TAIL);
        file.extend((24 + body.len() as u64).to_le_bytes());
        file.extend(body);
    }
    file
}

fn au(encoding: u32, data: &[u8]) -> Vec<u8> {
    let mut file = b".snd".to_vec();
    for field in [28, data.len() as u32, encoding, 8_000, 1, 0] {
        file.extend(u32::to_be_bytes(field));
    }
    file.extend(data);
    file
}

fn sphere() -> Vec<u8> {
    let mut file = format!(
        "NIST_1A\n   1024\nsample_count -i {FRAMES}\nsample_n_bytes -i 2\nchannel_count -i 2\n\
         sample_byte_format -s2 10\nsample_rate -i 8000\nsample_coding -s3 pcm\nend_head\n"
    )
    .into_bytes();
    file.resize(1_024, b' ');
    file.extend(big(&tone(2)));
    file
}

fn aiff() -> Vec<u8> {
    let data = big(&tone(1));
    let mut file = b"FORM".to_vec();
    file.extend((46 + data.len() as u32).to_be_bytes());
    file.extend(b"AIFFCOMM");
    file.extend(18_u32.to_be_bytes());
    file.extend(1_u16.to_be_bytes());
    file.extend(FRAMES.to_be_bytes());
    file.extend(16_u16.to_be_bytes());
    file.extend([0x40, 0x0B, 0xFA, 0, 0, 0, 0, 0, 0, 0]);
    file.extend(b"SSND");
    file.extend((8 + data.len() as u32).to_be_bytes());
    file.extend([0; 8]);
    file.extend(data);
    file
}

fn caf() -> Vec<u8> {
    let data = big(&tone(1));
    let mut file = b"caff\0\x01\0\0desc".to_vec();
    file.extend(32_u64.to_be_bytes());
    file.extend(8_000_f64.to_be_bytes());
    file.extend(b"lpcm");
    for field in [0_u32, 2, 1, 1, 16] {
        file.extend(field.to_be_bytes());
    }
    file.extend(b"data");
    file.extend((4 + data.len() as u64).to_be_bytes());
    file.extend([0; 4]);
    file.extend(data);
    file
}

/// One recording per container and codec: name, bytes.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>)> {
    let mut gsm = codes(33 * 12);
    gsm.iter_mut().step_by(33).for_each(|byte| *byte = 0xD0 | *byte & 0x0F);
    let mut ima = codes(256 * 8);
    ima.chunks_mut(256).for_each(|block| block[2] = 40);
    let mut ms = codes(256 * 8);
    ms.chunks_mut(256).for_each(|block| block[0] = 1);
    vec![
        ("stereo16.wav", stereo_wav(4 * FRAMES)),
        ("extensible24.wav", extensible_wav()),
        ("mulaw.wav", plain(7, 1, 8, &[], &codes(2_000))),
        ("alaw.wav", plain(6, 1, 8, &[], &codes(2_000))),
        (
            "float.wav",
            plain(
                3,
                4,
                32,
                &[],
                &tone(1).iter().flat_map(|s| (f32::from(*s) / 4e4).to_le_bytes()).collect::<Vec<_>>(),
            ),
        ),
        ("ima.wav", plain(0x11, 256, 4, &505_u16.to_le_bytes(), &ima)),
        ("ms.wav", plain(2, 256, 4, &500_u16.to_le_bytes(), &ms)),
        ("gsm.wav", plain(0x31, 65, 0, &320_u16.to_le_bytes(), &codes(65 * 8))),
        ("g722.wav", plain(0x28F, 1, 4, &[], &codes(2_000))),
        ("g726.wav", plain(0x45, 1, 4, &[], &codes(2_000))),
        ("g726-24.wav", plain(0x45, 1, 3, &[], &codes(1_500))),
        ("rf64.wav", rf64()),
        ("a.w64", w64()),
        ("linear.au", au(3, &big(&tone(1)))),
        ("g721.au", au(23, &codes(1_000))),
        ("a.sph", sphere()),
        ("a.aiff", aiff()),
        ("a.caf", caf()),
        ("a.gsm", gsm),
        ("a.ulaw", codes(2_000)),
        ("a.sln16", little(&tone(1))),
        ("a.g722", codes(2_000)),
        ("a.g726-40", codes(2_000)),
    ]
}
