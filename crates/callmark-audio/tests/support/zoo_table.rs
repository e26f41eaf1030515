//! Per file of `codec_zoo`: what becomes of it.

/// What becomes of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// It decodes: container, codec, sample rate in hertz, channels, length in milliseconds.
    Decoded(&'static str, &'static str, u32, u16, i64),
    /// It is refused with an error of this kind.
    Refused(&'static str),
}

/// How close a file comes to another one of the same sound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Likeness {
    pub(crate) reference: &'static str,
    /// Signal-to-noise ratio against it, at least, on every channel.
    pub(crate) min_snr_db: f64,
    /// Samples at 16 kHz by which the codec itself delays the sound.
    pub(crate) delay: usize,
}

use Fate::{Decoded, Refused};

#[allow(clippy::unnecessary_wraps, reason = "a column of the table")]
const fn like(reference: &'static str, min_snr_db: f64) -> Option<Likeness> {
    Some(Likeness { reference, min_snr_db, delay: 0 })
}

const MONO: &str = "mono_pcm16_8k.wav";
const STEREO: &str = "stereo_pcm16_8k.wav";
const SHORT: &str = "found_lhotse_stereo.wav";
/// G.722's two filter banks delay by 22 samples.
const G722: Option<Likeness> = Some(Likeness { reference: MONO, min_snr_db: 36.0, delay: 22 });
/// Bit by bit the same.
const SAME: f64 = 100.0;

/// Every file of the test bed.
pub(crate) const ZOO: [(&str, Fate, Option<Likeness>); 62] = [
    ("broken_ps_awful.wav", Refused("malformed"), None),
    ("broken_ps_bad.wav", Refused("malformed"), None),
    ("broken_ps_evil.wav", Refused("malformed"), None),
    ("broken_ps_null.wav", Refused("no_audio"), None),
    ("found_it_conf-adminmenu-162.alaw", Decoded("raw", "pcm_alaw", 8_000, 1, 22_547), None),
    ("found_it_conf-adminmenu.alaw", Decoded("raw", "pcm_alaw", 8_000, 1, 18_308), None),
    ("found_it_demo-abouttotry.alaw", Decoded("raw", "pcm_alaw", 8_000, 1, 15_868), None),
    ("found_it_demo-congrats.alaw", Decoded("raw", "pcm_alaw", 8_000, 1, 29_353), None),
    ("found_it_demo-echotest.alaw", Decoded("raw", "pcm_alaw", 8_000, 1, 22_520), None),
    ("found_it_priv-callee-options.alaw", Decoded("raw", "pcm_alaw", 8_000, 1, 31_060), None),
    ("found_it_screen-callee-options.alaw", Decoded("raw", "pcm_alaw", 8_000, 1, 19_236), None),
    ("found_it_vm-msginstruct.alaw", Decoded("raw", "pcm_alaw", 8_000, 1, 17_649), None),
    ("found_it_vm-options.alaw", Decoded("raw", "pcm_alaw", 8_000, 1, 22_296), None),
    ("found_lhotse_ES2011a.Headset-0-40s-46s.wav", Decoded("wav", "pcm_s16le", 16_000, 1, 6_000), None),
    ("found_lhotse_common_voice_en_651325.mp3", Decoded("mp3", "mp3", 48_000, 1, 2_376), None),
    ("found_lhotse_mono_c0.opus", Decoded("ogg", "opus", 8_000, 1, 505), None),
    ("found_lhotse_stereo.mp3", Decoded("mp3", "mp3", 8_000, 2, 1_000), None),
    ("found_lhotse_stereo.opus", Decoded("ogg", "opus", 8_000, 2, 1_005), None),
    ("found_lhotse_stereo.sph", Decoded("sphere", "pcm_s16le", 8_000, 2, 1_000), like(SHORT, SAME)),
    ("found_lhotse_stereo.wav", Decoded("wav", "pcm_s16le", 8_000, 2, 1_000), None),
    ("found_ps_chan3.2chan.wav", Decoded("wav", "pcm_s16le", 11_025, 2, 20_871), None),
    ("found_ps_chan3.sph", Decoded("sphere", "pcm_s16le", 11_025, 1, 20_871), None),
    ("found_ps_leak-test.wav", Decoded("wav", "pcm_s16le", 8_000, 1, 9_375), None),
    ("mono_aac_16k.m4a", Decoded("mp4", "aac", 16_000, 1, 25_392), like(MONO, 20.0)),
    ("mono_aac_adts.aac", Decoded("adts", "aac", 16_000, 1, 25_408), like(MONO, 20.0)),
    ("mono_alaw_8k.wav", Decoded("wav", "pcm_alaw", 8_000, 1, 25_391), like(MONO, 37.0)),
    ("mono_amrnb.amr", Refused("unsupported"), None),
    ("mono_flac_8k.flac", Decoded("flac", "flac", 8_000, 1, 25_391), like(MONO, SAME)),
    ("mono_float32_8k.wav", Decoded("wav", "pcm_f32le", 8_000, 1, 25_391), like(MONO, SAME)),
    ("mono_g722_16k.wav", Decoded("wav", "g722", 16_000, 1, 25_391), G722),
    ("mono_g726_32k.wav", Decoded("wav", "g726", 8_000, 1, 25_391), like(MONO, 19.5)),
    ("mono_gsm610_ms.wav", Decoded("wav", "gsm_ms", 8_000, 1, 25_400), like(MONO, 14.5)),
    ("mono_ima_adpcm_8k.wav", Decoded("wav", "adpcm_ima", 8_000, 1, 25_512), like(MONO, 17.5)),
    ("mono_mp3_8k_16kbps.mp3", Decoded("mp3", "mp3", 8_000, 1, 25_391), like(MONO, 17.5)),
    ("mono_mp3_8k_cbr8.mp3", Decoded("mp3", "mp3", 8_000, 1, 25_391), like(MONO, 13.5)),
    ("mono_ms_adpcm_8k.wav", Decoded("wav", "adpcm_ms", 8_000, 1, 25_450), like(MONO, 18.0)),
    ("mono_mulaw_8k.au", Decoded("au", "pcm_mulaw", 8_000, 1, 25_391), like(MONO, 37.0)),
    ("mono_mulaw_8k.wav", Decoded("wav", "pcm_mulaw", 8_000, 1, 25_391), like(MONO, 37.0)),
    ("mono_opus_in_webm.webm", Decoded("matroska", "opus", 8_000, 1, 25_393), like(MONO, 17.5)),
    ("mono_opus_voip_16k.opus", Decoded("ogg", "opus", 8_000, 1, 25_391), like(MONO, 9.0)),
    ("mono_pcm16_8k.aiff", Decoded("aiff", "pcm_s16be", 8_000, 1, 25_391), like(MONO, SAME)),
    ("mono_pcm16_8k.caf", Decoded("caf", "pcm_s16be", 8_000, 1, 25_391), like(MONO, SAME)),
    ("mono_pcm16_8k.w64", Decoded("w64", "pcm_s16le", 8_000, 1, 25_392), like(MONO, SAME)),
    ("mono_pcm16_8k.wav", Decoded("wav", "pcm_s16le", 8_000, 1, 25_391), None),
    ("mono_pcm16_8k_rf64.wav", Decoded("rf64", "pcm_s16le", 8_000, 1, 25_391), like(MONO, SAME)),
    ("mono_pcm24_8k.wav", Decoded("wav", "pcm_s24le", 8_000, 1, 25_391), like(MONO, SAME)),
    ("mono_raw_alaw_8k.al", Decoded("raw", "pcm_alaw", 8_000, 1, 25_391), like(MONO, 37.0)),
    ("mono_raw_g722.g722", Decoded("raw", "g722", 16_000, 1, 25_391), G722),
    ("mono_raw_gsm.gsm", Decoded("raw", "gsm", 8_000, 1, 25_400), like(MONO, 14.5)),
    ("mono_raw_mulaw_8k.ulaw", Decoded("raw", "pcm_mulaw", 8_000, 1, 25_391), like(MONO, 37.0)),
    ("mono_speex_8k.spx", Refused("unsupported"), None),
    ("mono_u8_8k.wav", Decoded("wav", "pcm_u8", 8_000, 1, 25_391), like(MONO, 27.0)),
    ("mono_vorbis_8k.ogg", Decoded("ogg", "vorbis", 8_000, 1, 25_391), like(MONO, 24.0)),
    ("mono_wmav2_16k.wma", Refused("unsupported"), None),
    ("stereo_aac_44k.m4a", Decoded("mp4", "aac", 44_100, 2, 20_000), like(STEREO, 16.5)),
    ("stereo_alaw_8k.wav", Decoded("wav", "pcm_alaw", 8_000, 2, 20_000), like(STEREO, 37.0)),
    ("stereo_flac.flac", Decoded("flac", "flac", 8_000, 2, 20_000), like(STEREO, SAME)),
    ("stereo_ima_adpcm.wav", Decoded("wav", "adpcm_ima", 8_000, 2, 20_085), like(STEREO, 17.0)),
    ("stereo_mp3_48k.mp3", Decoded("mp3", "mp3", 8_000, 2, 20_000), like(STEREO, 18.5)),
    ("stereo_mulaw_8k.wav", Decoded("wav", "pcm_mulaw", 8_000, 2, 20_000), like(STEREO, 37.0)),
    ("stereo_opus_32k.opus", Decoded("ogg", "opus", 8_000, 2, 20_000), like(STEREO, 16.0)),
    ("stereo_pcm16_8k.wav", Decoded("wav", "pcm_s16le", 8_000, 2, 20_000), None),
];
