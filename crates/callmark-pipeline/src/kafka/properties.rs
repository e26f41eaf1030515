//! What librdkafka is told, with secrets that do not leak.

use crate::config::{ConfigError, invalid};
use rdkafka::ClientConfig;
use std::collections::BTreeMap;
use std::path::Path;

/// Longest secret read from a file, in bytes.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// What Callmark sets itself, because exactness depends on it, and where it is set instead.
const OWN_PROPERTIES: [(&str, &str); 8] = [
    ("bootstrap.servers", "set `brokers`"),
    ("metadata.broker.list", "set `brokers`"),
    ("group.id", "set `group`"),
    ("group.instance.id", "set `instance_id`"),
    ("auto.offset.reset", "set `start`"),
    ("enable.auto.commit", "the dataset says what is committed"),
    ("enable.auto.offset.store", "the dataset says what is committed"),
    ("transactional.id", "a commit is a record in the dataset, not a transaction of Kafka"),
];

/// Properties as they stand in a pipeline file.
pub(crate) type RawProperties = BTreeMap<String, toml::Value>;

/// Properties by name. Secrets are not shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, Property>);

#[derive(Clone, PartialEq, Eq)]
struct Property {
    text: String,
    secret: bool,
}

impl std::fmt::Debug for Properties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |p: &Property| if p.secret { "(secret)".to_owned() } else { p.text.clone() };
        f.debug_map().entries(self.0.iter().map(|(name, property)| (name, shown(property)))).finish()
    }
}

impl Properties {
    /// Reads them; a table is either `{ env = "NAME" }`, `{ file = "PATH" }` or the rest of a dotted name.
    pub(crate) fn of(setting: &str, raw: RawProperties, base: &Path) -> Result<Self, ConfigError> {
        let mut properties = Self::default();
        for (name, value) in raw {
            properties.take(setting, name, &value, base)?;
        }
        Ok(properties)
    }

    fn take(
        &mut self,
        setting: &str,
        name: String,
        value: &toml::Value,
        base: &Path,
    ) -> Result<(), ConfigError> {
        if let toml::Value::Table(table) = value
            && !is_secret(table)
        {
            for (rest, value) in table {
                self.take(setting, format!("{name}.{rest}"), value, base)?;
            }
            return Ok(());
        }
        let place = format!("{setting}.{name}");
        if let Some((_, instead)) = OWN_PROPERTIES.iter().find(|(own, _)| *own == name) {
            return Err(invalid(place, format!("Callmark sets it itself: {instead}")));
        }
        let secret = value.is_table() || name.contains("password") || name.contains("secret");
        let text = secret_text(&place, value, base)?;
        self.0.insert(name, Property { text, secret });
        Ok(())
    }

    /// Sets `name`, as `-X name=value` on a command line does.
    pub fn set(&mut self, name: &str, value: &str) {
        let secret = name.contains("password") || name.contains("secret");
        self.0.insert(name.to_owned(), Property { text: value.to_owned(), secret });
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|property| property.text.as_str())
    }

    /// Puts them into a client's configuration.
    pub(crate) fn apply(&self, config: &mut ClientConfig) {
        for (name, property) in &self.0 {
            config.set(name, &property.text);
        }
    }
}

fn is_secret(table: &toml::Table) -> bool {
    table.len() == 1
        && table.iter().all(|(key, value)| matches!(key.as_str(), "env" | "file") && value.is_str())
}

/// A text that stands in the file itself, in a variable of the environment or in a file of its own.
pub(crate) fn secret_text(setting: &str, value: &toml::Value, base: &Path) -> Result<String, ConfigError> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(yes) => Ok(yes.to_string()),
        toml::Value::Float(number) => Ok(number.to_string()),
        toml::Value::Table(table) if is_secret(table) => {
            if let Some(name) = table.get("env").and_then(toml::Value::as_str) {
                return std::env::var(name)
                    .map_err(|_| invalid(setting, format!("the environment has no variable {name}")));
            }
            let file = table.get("file").and_then(toml::Value::as_str).unwrap_or_default();
            read_secret(&base.join(file))
                .map_err(|e| invalid(setting, format!("cannot read the secret in {file}: {e}")))
        }
        _ => Err(invalid(
            setting,
            "is no text, number, true, false, { env = \"NAME\" } or { file = \"PATH\" }",
        )),
    }
}

fn read_secret(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > MAX_SECRET_BYTES {
        return Err(std::io::Error::other(format!("longer than {MAX_SECRET_BYTES} bytes")));
    }
    Ok(std::fs::read_to_string(path)?.trim_end_matches(['\r', '\n']).to_owned())
}
