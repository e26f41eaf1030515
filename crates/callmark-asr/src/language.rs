//! Which languages the recogniser knows, and what users call them.
//!
//! Recorders write BCP 47 tags (`en-US`, `es-419`); the model knows ISO 639-1 codes.

/// The codes that multilingual Whisper models know, sorted.
const CODES: [&str; 99] = [
    "af", "am", "ar", "as", "az", "ba", "be", "bg", "bn", "bo", "br", "bs", "ca", "cs", "cy", "da", "de",
    "el", "en", "es", "et", "eu", "fa", "fi", "fo", "fr", "gl", "gu", "ha", "haw", "he", "hi", "hr", "ht",
    "hu", "hy", "id", "is", "it", "ja", "jw", "ka", "kk", "km", "kn", "ko", "la", "lb", "ln", "lo", "lt",
    "lv", "mg", "mi", "mk", "ml", "mn", "mr", "ms", "mt", "my", "ne", "nl", "nn", "no", "oc", "pa", "pl",
    "ps", "pt", "ro", "ru", "sa", "sd", "si", "sk", "sl", "sn", "so", "sq", "sr", "su", "sv", "sw", "ta",
    "te", "tg", "th", "tk", "tl", "tr", "tt", "uk", "ur", "uz", "vi", "yi", "yo", "zh",
];

/// Subtags of tags in use whose language the model knows by another code.
const ALIASES: [(&str, &str); 6] =
    [("cmn", "zh"), ("fil", "tl"), ("in", "id"), ("iw", "he"), ("jv", "jw"), ("nb", "no")];

/// The model's code for a language tag, whatever its region and case; `None` for a language it does not know.
pub fn model_language(tag: &str) -> Option<&'static str> {
    let primary = tag.trim().split(['-', '_']).next()?.to_ascii_lowercase();
    let alias = ALIASES.iter().find(|(other, _)| *other == primary).map(|(_, code)| *code);
    alias.or_else(|| CODES.binary_search(&primary.as_str()).ok().map(|found| CODES[found]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_by_its_language() {
        assert_eq!(model_language("en"), Some("en"));
        assert_eq!(model_language("en-US"), Some("en"));
        assert_eq!(model_language("ES_419"), Some("es"));
        assert_eq!(model_language("nb-NO"), Some("no"));
        for unknown in ["xx", "english", "", "-", "e"] {
            assert_eq!(model_language(unknown), None, "{unknown}");
        }
    }

    #[cfg(feature = "whisper")]
    #[test]
    fn the_codes_are_those_of_the_engine() {
        let engine: std::collections::BTreeSet<&str> =
            (0..=whisper_rs::get_lang_max_id()).filter_map(whisper_rs::get_lang_str).collect();
        for code in CODES {
            assert!(engine.contains(code), "{code}");
        }
        let missing: Vec<&&str> = engine.iter().filter(|code| model_language(code).is_none()).collect();
        // Cantonese came with large-v3; the smaller models have no token for it.
        assert_eq!(missing, [&"yue"]);
    }
}
