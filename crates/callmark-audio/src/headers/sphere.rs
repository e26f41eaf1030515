//! NIST SPHERE, the header of the speech corpora of the LDC and NIST.

use super::{Encoding, Header, Stream};
use crate::error::Fault;
use crate::input::Input;

/// Longest header read; the usual one has 1024 bytes.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Bytes of the magic line and the line with the header's length.
const PREAMBLE_BYTES: usize = 16;

/// Reads the header.
pub(crate) fn parse(input: &mut Input) -> Result<Header, Fault> {
    let preamble = input.read_at(0, PREAMBLE_BYTES)?;
    let data_offset = preamble
        .get(8..)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .and_then(|text| text.trim().parse::<usize>().ok())
        .filter(|len| (PREAMBLE_BYTES..=MAX_HEADER_BYTES).contains(len))
        .ok_or_else(|| Fault::malformed(8, "the SPHERE header does not state its length"))?;
    let header = input.read_at(0, data_offset)?;
    let text = String::from_utf8_lossy(&header);
    let field = |name: &str| {
        text.lines().skip(2).take_while(|line| line.trim() != "end_head").find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(name)).then(|| words.nth(1).unwrap_or_default().to_owned())
        })
    };
    let number = |name: &str| {
        field(name).and_then(|text| text.parse::<u64>().ok()).ok_or_else(|| {
            Fault::malformed(PREAMBLE_BYTES as u64, format!("the SPHERE header has no number {name:?}"))
        })
    };
    let channels = number("channel_count")?;
    let sample_rate_hz = number("sample_rate")?;
    let sample_bytes = number("sample_n_bytes").unwrap_or(1) as usize;
    let frames = number("sample_count").ok();
    let coding = field("sample_coding").unwrap_or_else(|| "pcm".to_owned());
    let is_big_endian = field("sample_byte_format").is_some_and(|order| order == "10" || order == "3210");
    let encoding = match (coding.as_str(), sample_bytes) {
        ("pcm", 2..=4) => Encoding::Signed { bytes: sample_bytes, big_endian: is_big_endian },
        ("pcm", 1) => Encoding::Signed { bytes: 1, big_endian: false },
        ("ulaw" | "mu-law", 1) => Encoding::Ulaw,
        ("alaw", 1) => Encoding::Alaw,
        _ => {
            let format = format!("SPHERE with coding {coding:?} in {sample_bytes} bytes a sample");
            let hint = "convert it with: sph2pipe -f wav {name} out.wav".to_owned();
            return Err(Fault::Unsupported { format, hint });
        }
    };
    let frame_bytes = (sample_bytes as u64).saturating_mul(channels);
    Ok(Header::Stream(Stream {
        container: "sphere",
        encoding,
        sample_rate_hz: u32::try_from(sample_rate_hz).unwrap_or(u32::MAX),
        channels: u32::try_from(channels).unwrap_or(u32::MAX),
        format_offset: PREAMBLE_BYTES as u64,
        data_offset: data_offset as u64,
        data_len: frames.and_then(|count| count.checked_mul(frame_bytes)),
        frames: None,
    }))
}
