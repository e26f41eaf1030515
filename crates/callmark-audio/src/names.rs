//! What a file's extension or a message's content type says, and how to convert what is not decoded here.

use crate::options::{RawCodec, RawFormat};

/// Extensions of containers that are recognised by their content.
const CONTAINER_EXTENSIONS: [&str; 32] = [
    "wav", "wave", "rf64", "bwf", "w64", "au", "snd", "sph", "nist", "flac", "mp3", "mp2", "mpga", "aac",
    "adts", "m4a", "m4b", "mp4", "3gp", "3g2", "mov", "ogg", "oga", "opus", "webm", "weba", "mka", "mkv",
    "caf", "aiff", "aif", "aifc",
];

/// Extensions of sound that is refused, with the reason; a folder scan must not pass over it in silence.
const REFUSED_EXTENSIONS: [(&str, &str); 20] = [
    ("amr", "AMR"),
    ("awb", "AMR-WB"),
    ("wma", "Windows Media Audio"),
    ("asf", "Windows Media Audio"),
    ("spx", "Speex"),
    ("vox", "Dialogic ADPCM without a header"),
    ("g729", "G.729"),
    ("g723", "G.723.1"),
    ("g7231", "G.723.1"),
    ("ilbc", "iLBC"),
    ("evs", "EVS"),
    ("evrc", "EVRC"),
    ("qcp", "QCELP"),
    ("dss", "Digital Speech Standard"),
    ("ds2", "Digital Speech Standard"),
    ("ape", "Monkey's Audio"),
    ("wv", "WavPack"),
    ("ra", "RealAudio"),
    ("raw", "sound without a header whose codec nobody states"),
    ("pcm", "sound without a header whose codec nobody states"),
];

/// Extensions of headerless sound: codec, sample rate in hertz.
const RAW_EXTENSIONS: [(&str, RawCodec, u32); 33] = [
    ("ulaw", RawCodec::Ulaw, 8_000),
    ("ul", RawCodec::Ulaw, 8_000),
    ("mulaw", RawCodec::Ulaw, 8_000),
    ("mu", RawCodec::Ulaw, 8_000),
    ("pcmu", RawCodec::Ulaw, 8_000),
    ("g711u", RawCodec::Ulaw, 8_000),
    ("alaw", RawCodec::Alaw, 8_000),
    ("al", RawCodec::Alaw, 8_000),
    ("pcma", RawCodec::Alaw, 8_000),
    ("g711a", RawCodec::Alaw, 8_000),
    ("sln", RawCodec::S16le, 8_000),
    ("sln8", RawCodec::S16le, 8_000),
    ("sln12", RawCodec::S16le, 12_000),
    ("sln16", RawCodec::S16le, 16_000),
    ("sln24", RawCodec::S16le, 24_000),
    ("sln32", RawCodec::S16le, 32_000),
    ("sln44", RawCodec::S16le, 44_100),
    ("sln48", RawCodec::S16le, 48_000),
    ("sln96", RawCodec::S16le, 96_000),
    ("sln192", RawCodec::S16le, 192_000),
    ("slin", RawCodec::S16le, 8_000),
    ("slin16", RawCodec::S16le, 16_000),
    ("sw", RawCodec::S16le, 8_000),
    ("gsm", RawCodec::Gsm, 8_000),
    ("g722", RawCodec::G722, 16_000),
    ("g726", RawCodec::G726Rate32, 8_000),
    ("g726-16", RawCodec::G726Rate16, 8_000),
    ("g726-24", RawCodec::G726Rate24, 8_000),
    ("g726-32", RawCodec::G726Rate32, 8_000),
    ("g726-40", RawCodec::G726Rate40, 8_000),
    ("g721", RawCodec::G726Rate32, 8_000),
    ("sb", RawCodec::S16be, 8_000),
    ("l16", RawCodec::S16be, 8_000),
];

/// Whether a folder scan should pick the file up: its extension is one of sound, decoded here or not. What is not
/// decoded is then reported rather than passed over.
pub fn is_audio_name(name: &str) -> bool {
    let Some(extension) = extension(name) else {
        return false;
    };
    CONTAINER_EXTENSIONS.contains(&extension.as_str())
        || raw_by_extension(name).is_some()
        || refused_by_extension(name).is_some()
}

/// The extension in lower case.
fn extension(name: &str) -> Option<String> {
    let file_name = name.rsplit(['/', '\\']).next()?;
    let (stem, extension) = file_name.rsplit_once('.')?;
    (!stem.is_empty() && !extension.is_empty()).then(|| extension.to_ascii_lowercase())
}

/// How to read a headerless file by its extension.
pub(crate) fn raw_by_extension(name: &str) -> Option<RawFormat> {
    let extension = extension(name)?;
    let (_, codec, sample_rate_hz) = RAW_EXTENSIONS.into_iter().find(|(known, _, _)| *known == extension)?;
    Some(RawFormat { codec, sample_rate_hz, channels: 1 })
}

/// What a file that is not decoded here is, by its extension.
pub(crate) fn refused_by_extension(name: &str) -> Option<&'static str> {
    let extension = extension(name)?;
    REFUSED_EXTENSIONS.into_iter().find(|(known, _)| *known == extension).map(|(_, what)| what)
}

/// How to read headerless bytes by their media type: RFC 3551 and 3555 names, with `rate` and `channels`.
pub(crate) fn raw_by_content_type(content_type: &str) -> Option<RawFormat> {
    let mut parts = content_type.split(';').map(|part| part.trim().to_ascii_lowercase());
    let codec = match parts.next()?.as_str() {
        "audio/pcmu" | "audio/basic" | "audio/x-mulaw" | "audio/mulaw" | "audio/x-ulaw" | "audio/ulaw" => {
            RawCodec::Ulaw
        }
        "audio/pcma" | "audio/x-alaw" | "audio/alaw" => RawCodec::Alaw,
        "audio/l16" => RawCodec::S16be,
        "audio/pcm_s16le" | "audio/x-raw" | "audio/x-sln" => RawCodec::S16le,
        "audio/gsm" | "audio/x-gsm" => RawCodec::Gsm,
        "audio/g722" => RawCodec::G722,
        "audio/g726-16" => RawCodec::G726Rate16,
        "audio/g726-24" => RawCodec::G726Rate24,
        "audio/g726-32" | "audio/g721" => RawCodec::G726Rate32,
        "audio/g726-40" => RawCodec::G726Rate40,
        _ => return None,
    };
    let mut format = RawFormat::of(codec);
    for parameter in parts {
        let Some((key, value)) = parameter.split_once('=') else { continue };
        let value = value.trim_matches('"');
        match key {
            // RFC 3551: the rate of G722 is stated as 8000 by mistake and meant as 16000.
            "rate" if codec != RawCodec::G722 => format.sample_rate_hz = value.parse().unwrap_or(0),
            "channels" => format.channels = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    Some(format)
}

/// How to convert what is not decoded here; `{name}` becomes the recording's name.
pub(crate) fn convert_hint() -> String {
    "convert it with: ffmpeg -i {name} -c:a pcm_s16le out.wav".to_owned()
}

/// How to deal with sound without a header whose codec nobody states.
pub(crate) fn headerless_hint() -> String {
    "state the codec (ulaw, alaw, s16le, gsm, g722, …) with its rate and channels, or convert it with: \
     ffmpeg -f s16le -ar 8000 -ac 1 -i {name} out.wav"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_scan_picks_up_sound_of_every_kind_and_nothing_else() {
        for name in
            ["a.wav", "b/C.WAV", "x.y.ulaw", "d.sln16", "e.wma", "f.amr", "g.g729", "h.raw", "i.webm", "j.al"]
        {
            assert!(is_audio_name(name), "{name}");
        }
        for name in ["a.txt", "calls.csv", "wav", ".wav", "b.wav.bak", "c.", "d.json", "audio/wav/readme"] {
            assert!(!is_audio_name(name), "{name}");
        }
    }

    #[test]
    fn a_content_type_states_codec_rate_and_channels() {
        let format = raw_by_content_type("audio/PCMU;rate=16000; channels=2").unwrap();
        assert_eq!(format, RawFormat { codec: RawCodec::Ulaw, sample_rate_hz: 16_000, channels: 2 });
        assert_eq!(raw_by_content_type("audio/G722;rate=8000").unwrap().sample_rate_hz, 16_000);
        assert_eq!(raw_by_content_type("audio/L16;rate=44100").unwrap().codec, RawCodec::S16be);
        assert_eq!(raw_by_content_type("audio/wav"), None);
    }
}
