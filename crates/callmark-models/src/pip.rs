//! Where this machine gets Python packages from, as its owner has set it up for pip: a mirror, a certificate, a proxy.
//!
//! Read from pip's environment variables and configuration files (pip's user guide, "Configuration"), so that a company's
//! mirror works here without being configured twice.

use std::path::PathBuf;

use url::Url;

use crate::error::ModelError;

const DEFAULT_INDEX: &str = "https://pypi.org/simple";

/// Configuration files larger than this are not pip's.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// What pip would use.
#[derive(Debug, Clone)]
pub(crate) struct PipSettings {
    /// Simple indexes in the order in which they are asked.
    pub(crate) indexes: Vec<Url>,
    /// A file of certificates to trust beside the system's.
    pub(crate) certificate_file: Option<PathBuf>,
    /// A proxy that overrides `HTTPS_PROXY` and its kin.
    pub(crate) proxy: Option<String>,
}

impl PipSettings {
    /// Reads environment and configuration files. `index_url` overrides both.
    pub(crate) fn of_this_machine(index_url: Option<&str>) -> Result<Self, ModelError> {
        let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let config = config_files(&environment).iter().rev().filter_map(read_config).collect::<Vec<_>>();
        let setting = |key: &str| -> Option<String> {
            let variable = format!("PIP_{}", key.to_uppercase().replace('-', "_"));
            environment(&variable).or_else(|| config.iter().find_map(|text| config_value(text, key)))
        };
        PipSettings::from_settings(index_url, &setting)
    }

    fn from_settings(
        index_url: Option<&str>,
        setting: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ModelError> {
        let main = index_url.map(str::to_owned).or_else(|| setting("index-url"));
        let extra = setting("extra-index-url").unwrap_or_default();
        let mut indexes = vec![parse_index(main.as_deref().unwrap_or(DEFAULT_INDEX))?];
        if index_url.is_none() {
            for address in extra.split_whitespace() {
                indexes.push(parse_index(address)?);
            }
        }
        Ok(PipSettings {
            indexes,
            certificate_file: setting("cert").map(PathBuf::from),
            proxy: setting("proxy"),
        })
    }
}

fn parse_index(address: &str) -> Result<Url, ModelError> {
    let bad = |reason: String| ModelError::BadSetting {
        setting: "package index (PIP_INDEX_URL)".to_owned(),
        value: crate::http::without_password_text(address),
        reason,
    };
    let url = Url::parse(address.trim())
        .map_err(|error| bad(format!("{error}; give an address such as {DEFAULT_INDEX}")))?;
    if ["http", "https"].contains(&url.scheme()) {
        return Ok(url);
    }
    Err(bad(format!("give an http or https address such as {DEFAULT_INDEX}")))
}

/// From the least to the most specific, as pip reads them.
fn config_files(environment: &dyn Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let specific = environment("PIP_CONFIG_FILE");
    if specific.as_deref() == Some("/dev/null") {
        return Vec::new();
    }
    let home = environment("HOME").map(PathBuf::from);
    let config_home = environment("XDG_CONFIG_HOME").map(PathBuf::from);
    let config_home = config_home.or_else(|| home.as_ref().map(|home| home.join(".config")));
    let mut files = vec![PathBuf::from("/etc/pip.conf")];
    files.extend(home.map(|home| home.join(".pip/pip.conf")));
    files.extend(config_home.map(|config| config.join("pip/pip.conf")));
    files.extend(environment("VIRTUAL_ENV").map(|env| PathBuf::from(env).join("pip.conf")));
    files.extend(specific.map(PathBuf::from));
    files
}

fn read_config(path: &PathBuf) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    if metadata.len() > CONFIG_BYTES_MAX {
        return None;
    }
    std::fs::read_to_string(path).ok()
}

/// The value of a key in the sections that `pip download` reads; further lines of it are those that start with a blank.
fn config_value(text: &str, key: &str) -> Option<String> {
    let mut section_counts = false;
    let mut value: Option<String> = None;
    let mut in_value = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if in_value && line.starts_with([' ', '\t']) {
            if let Some(value) = &mut value {
                value.push(' ');
                value.push_str(trimmed);
            }
            continue;
        }
        in_value = false;
        if let Some(section) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section_counts = ["global", "download"].contains(&section.trim());
        } else if let Some((name, rest)) = trimmed.split_once(['=', ':'])
            && section_counts
            && name.trim().to_lowercase().replace('_', "-") == key
        {
            value = Some(rest.trim().to_owned());
            in_value = true;
        }
    }
    value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[global]\n# mirror\nindex_url = https://mirror.example/simple\nextra-index-url =\n    https://a.example/simple\n    https://b.example/simple\n[install]\ncert = /no\n[download]\ncert: /etc/ca.pem\n";

    #[test]
    fn a_mirror_in_pips_configuration_is_used_with_its_certificate() {
        let settings = PipSettings::from_settings(None, &|key| config_value(CONFIG, key)).unwrap();
        let addresses: Vec<&str> = settings.indexes.iter().map(Url::as_str).collect();
        assert_eq!(
            addresses,
            ["https://mirror.example/simple", "https://a.example/simple", "https://b.example/simple"]
        );
        assert_eq!(settings.certificate_file, Some(PathBuf::from("/etc/ca.pem")));
    }

    #[test]
    fn without_settings_the_public_index_is_used() {
        let settings = PipSettings::from_settings(None, &|_| None).unwrap();
        assert_eq!(settings.indexes, [Url::parse(DEFAULT_INDEX).unwrap()]);
    }

    #[test]
    fn an_index_given_by_the_caller_stands_alone() {
        let settings =
            PipSettings::from_settings(Some("http://127.0.0.1:9/simple"), &|key| config_value(CONFIG, key));
        assert_eq!(settings.unwrap().indexes, [Url::parse("http://127.0.0.1:9/simple").unwrap()]);
    }

    #[test]
    fn an_index_that_is_no_address_is_refused_without_its_password() {
        let error =
            PipSettings::from_settings(Some("ftp://u:secret@h/simple"), &|_| None).unwrap_err().to_string();
        assert!(error.contains("PIP_INDEX_URL") && !error.contains("secret"), "{error}");
    }
}
