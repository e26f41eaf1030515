//! The small, fully specified telephony codecs, in safe Rust.

pub(crate) mod g711;
pub(crate) mod g722;
pub(crate) mod g726;
#[cfg(test)]
mod golden_tests;
mod gsm;
mod gsm_tables;
pub(crate) mod ima_adpcm;
pub(crate) mod ms_adpcm;
mod pcm;

use crate::headers::Encoding;

/// A codec of samples that cannot fail: any bytes are sound.
pub(crate) trait SampleCodec {
    /// Bytes that are decoded together.
    fn unit_bytes(&self) -> usize;
    /// Frames that one unit yields.
    fn unit_frames(&self) -> usize;
    /// Decodes whole units and appends interleaved samples.
    fn decode(&mut self, bytes: &[u8], out: &mut Vec<i16>);
}

/// A codec of blocks that may turn out to be broken.
pub(crate) trait BlockCodec {
    /// Bytes of a block; the last one may be shorter.
    fn block_bytes(&self) -> usize;
    /// Frames that a whole block yields.
    fn block_frames(&self) -> usize;
    /// Decodes one block and appends interleaved samples; `Err` says what is wrong and appends nothing.
    fn decode(&mut self, block: &[u8], out: &mut Vec<i16>) -> Result<(), &'static str>;
}

/// The decoder of one stream.
pub(crate) enum Codec {
    /// Never fails.
    Samples(Box<dyn SampleCodec>),
    /// May fail block by block.
    Blocks(Box<dyn BlockCodec>),
}

/// The decoder for `encoding` with `channels`; `Err` says what is wrong with the parameters.
pub(crate) fn codec_for(encoding: &Encoding, channels: usize) -> Result<Codec, String> {
    Ok(match encoding {
        Encoding::G722 => Codec::Samples(Box::new(g722::G722Decoder::default())),
        Encoding::G726 { bits, most_significant_first } => {
            Codec::Samples(Box::new(g726::G726Decoder::new(*bits, *most_significant_first)))
        }
        Encoding::Gsm => Codec::Blocks(Box::new(gsm::GsmDecoder::default())),
        Encoding::GsmPairs => Codec::Blocks(Box::new(gsm::GsmPairDecoder::default())),
        Encoding::ImaAdpcm { block_bytes } => {
            Codec::Blocks(Box::new(ima_adpcm::ImaAdpcmDecoder::new(*block_bytes, channels)?))
        }
        Encoding::MsAdpcm { block_bytes, coefficients } => Codec::Blocks(Box::new(
            ms_adpcm::MsAdpcmDecoder::new(*block_bytes, channels, coefficients.clone())?,
        )),
        _ => Codec::Samples(Box::new(pcm::PcmDecoder::new(encoding.clone(), channels))),
    })
}
