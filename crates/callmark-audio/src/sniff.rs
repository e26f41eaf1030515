//! Which container the first bytes show. Content goes before extension: recorders name files as they like.

/// A container, or a bare stream with a recognisable head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Riff,
    Rf64,
    W64,
    Au,
    Sphere,
    Flac,
    Ogg,
    Matroska,
    Mp4,
    Caf,
    Aiff,
    Mpeg,
    Adts,
    /// Recognised and not decoded.
    Refused(&'static str),
}

/// Bytes that recognition looks at.
pub(crate) const HEAD_BYTES: usize = 16 * 1024;

/// First bytes of containers, with their offset.
const MAGICS: [(usize, &[u8], Container); 20] = [
    (0, b"RF64", Container::Rf64),
    (0, b"BW64", Container::Rf64),
    (0, b"riff\x2E\x91\xCF\x11\xA5\xD6\x28\xDB\x04\xC1\x00\x00", Container::W64),
    (0, b".snd", Container::Au),
    (0, b"NIST_1A", Container::Sphere),
    (0, b"fLaC", Container::Flac),
    (0, b"OggS", Container::Ogg),
    (0, b"\x1A\x45\xDF\xA3", Container::Matroska),
    (4, b"ftyp", Container::Mp4),
    (0, b"caff", Container::Caf),
    (0, b"#!AMR-WB\n", Container::Refused("AMR-WB")),
    (0, b"#!AMR-WB_MC1.0\n", Container::Refused("AMR-WB")),
    (0, b"#!AMR\n", Container::Refused("AMR-NB")),
    (0, b"#!AMR_MC1.0\n", Container::Refused("AMR-NB")),
    (0, b"#!EVS_MC1.0\n", Container::Refused("EVS")),
    (0, b"#!iLBC", Container::Refused("iLBC")),
    (0, b"\x30\x26\xB2\x75\x8E\x66\xCF\x11", Container::Refused("Windows Media (ASF)")),
    (0, b"RIFX", Container::Refused("big-endian WAV (RIFX)")),
    (0, b"MAC ", Container::Refused("Monkey's Audio")),
    (0, b"wvpk", Container::Refused("WavPack")),
];

/// Recognises a container by a signature that no headerless sound begins with by chance.
pub(crate) fn strong(head: &[u8]) -> Option<Container> {
    let starts = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    if starts(0, b"RIFF") && starts(8, b"WAVE") {
        return Some(Container::Riff);
    }
    if starts(0, b"FORM") && starts(8, b"AIFF") {
        return Some(Container::Aiff);
    }
    if starts(0, b"FORM") && starts(8, b"AIFC") {
        return Some(Container::Aiff);
    }
    if starts(0, b"ID3") {
        return Some(after_id3(head));
    }
    MAGICS.into_iter().find(|(offset, magic, _)| starts(*offset, magic)).map(|(_, _, container)| container)
}

/// Recognises streams of frames, which headerless sound may resemble for a few bytes: two frames must follow each
/// other.
pub(crate) fn weak(head: &[u8]) -> Option<Container> {
    let adts = |at: usize| adts_frame_len(head.get(at..)?);
    if let Some(len) = adts(0)
        && (len >= head.len() || adts(len).is_some())
    {
        return Some(Container::Adts);
    }
    let mpeg = |at: usize| mpeg_frame_len(head.get(at..)?);
    if let Some(len) = mpeg(0)
        && mpeg(len).is_some()
    {
        return Some(Container::Mpeg);
    }
    None
}

/// What an ID3v2 tag, whose size is in its bytes 6 to 9, seven bits each, is put before.
fn after_id3(head: &[u8]) -> Container {
    let size =
        head.get(6..10).map(|size| size.iter().fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7F)));
    let Some(body) = size.and_then(|size| head.get(size + 10..)) else {
        return Container::Mpeg;
    };
    if body.starts_with(b"fLaC") {
        return Container::Flac;
    }
    if adts_frame_len(body).is_some() { Container::Adts } else { Container::Mpeg }
}

/// Length of the ADTS frame (ISO/IEC 13818-7) that `bytes` begin with.
fn adts_frame_len(bytes: &[u8]) -> Option<usize> {
    let [first, second, third, fourth, fifth, sixth, ..] = *bytes else {
        return None;
    };
    let is_sync = first == 0xFF && second & 0xF6 == 0xF0 && (third >> 2) & 0x0F < 13;
    let len = usize::from(fourth & 3) << 11 | usize::from(fifth) << 3 | usize::from(sixth) >> 5;
    (is_sync && len > 7).then_some(len)
}

/// Length of the MPEG audio frame (ISO/IEC 11172-3, 13818-3) that `bytes` begin with.
fn mpeg_frame_len(bytes: &[u8]) -> Option<usize> {
    let [first, second, third, ..] = *bytes else {
        return None;
    };
    let (version, layer) = (second >> 3 & 3, second >> 1 & 3);
    let (bitrate, rate) = (usize::from(third >> 4), usize::from(third >> 2 & 3));
    if first != 0xFF
        || second & 0xE0 != 0xE0
        || version == 1
        || layer == 0
        || rate == 3
        || !(1..15).contains(&bitrate)
    {
        return None;
    }
    let is_first = version == 3;
    let kilobits = match (is_first, layer) {
        (true, 3) => [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
        (true, 2) => [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        (true, _) => [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        (false, 3) => [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
        (false, _) => [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    }[bitrate];
    let rate_hz = [44_100, 48_000, 32_000][rate]
        >> if is_first {
            0
        } else if version == 2 {
            1
        } else {
            2
        };
    let padding = usize::from(third >> 1 & 1);
    Some(match layer {
        3 => (12_000 * kilobits / rate_hz + padding) * 4,
        1 if !is_first => 72_000 * kilobits / rate_hz + padding,
        _ => 144_000 * kilobits / rate_hz + padding,
    })
}

/// The codec of an Ogg file by its first page, where it is one that is not decoded.
pub(crate) fn refused_ogg_codec(head: &[u8]) -> Option<&'static str> {
    let segments = usize::from(*head.get(26)?);
    let packet = head.get(27 + segments..)?;
    let known: [(&[u8], &str); 4] = [
        (b"Speex   ", "Speex in Ogg"),
        (b"\x80theora", "Ogg video"),
        (b"CELT    ", "CELT in Ogg"),
        (b"PCM     ", "PCM in Ogg"),
    ];
    known.into_iter().find(|(magic, _)| packet.starts_with(magic)).map(|(_, name)| name)
}

/// Whether the bytes are text: sound of four bytes or more has others than printable ones.
pub(crate) fn is_text(head: &[u8]) -> bool {
    !head.is_empty() && head.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_in_mu_law_is_no_mp3() {
        assert_eq!(weak(&[0xFF; 4_096]), None);
        assert_eq!(strong(&[0xFF; 4_096]), None);
        assert_eq!(weak(&[0xFF, 0xFB]), None);
    }

    #[test]
    fn frame_lengths_follow_the_standards() {
        // MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes; MPEG-2.5 layer III, 8 kbit/s, 8 kHz: 72 bytes.
        assert_eq!(mpeg_frame_len(&[0xFF, 0xFB, 0x90, 0x00]), Some(417));
        assert_eq!(mpeg_frame_len(&[0xFF, 0xE3, 0x18, 0xC4]), Some(72));
        assert_eq!(adts_frame_len(&[0xFF, 0xF1, 0x6C, 0x40, 0x18, 0xBF, 0xFC]), Some(197));
    }
}
