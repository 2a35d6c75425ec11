//! The configuration file, `floe/config.toml` below the user's configuration directory.

use std::io;
use std::path::{Path, PathBuf};

use floe_core::NamespaceName;
use floe_core::store::StoreSettings;
use serde::{Deserialize, Serialize};

use crate::failure::{Code, Failure};

/// What the file may say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Configuration {
    /// Where the snapshots are.
    pub(crate) store: Option<String>,
    /// Which namespace of the store.
    pub(crate) namespace: String,
    /// Where caches are kept.
    pub(crate) cache_dir: Option<PathBuf>,
    /// How hard pushes compress, from 1 to 19.
    pub(crate) level: i32,
    /// How requests are made and limited.
    pub(crate) transfer: StoreSettings,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            store: None,
            namespace: NamespaceName::default().as_str().to_owned(),
            cache_dir: None,
            level: floe_format::DEFAULT_LEVEL,
            transfer: StoreSettings::default(),
        }
    }
}

/// A file as it was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfigurationFile {
    /// What it says, and the defaults for what it does not.
    pub(crate) values: Configuration,
    /// What it says and nothing else.
    said: toml::Table,
}

impl ConfigurationFile {
    /// Reads the file at `path`; one that is absent says nothing.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => {
                let failure = Failure::io(format!("cannot read {}", path.display()), e);
                return Err(failure.advise("Make the configuration file readable, or remove it."));
            }
        };
        Self::parse(&text).map_err(|reason| {
            let message = format!("{} cannot be used: {reason}", path.display());
            // `config show` lists these beside what the file may say.
            let is_of_cloud =
                ["`s3`", "`gcs`", "`azure`"].iter().any(|key| reason.contains(&format!("field {key}")));
            let advice = if is_of_cloud {
                "Remove it from the file: what concerns one cloud is said in the environment alone."
            } else {
                "Correct the file, or move it away; without it `floe config show` lists what can be set."
            };
            Failure::new(Code::Usage, message, advice)
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let values: Configuration = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?;
        if !(1..=19).contains(&values.level) {
            return Err(format!("level is {}, not 1 to 19", values.level));
        }
        for (key, value) in [
            ("transfer.max_requests", values.transfer.max_requests as u64),
            ("transfer.retry.tries", values.transfer.retry.tries.into()),
        ] {
            if value == 0 {
                return Err(format!("{key} is 0, and nothing would be asked of the store"));
            }
        }
        if values.transfer.retry.slowest_bytes_per_second == 0 {
            return Err("transfer.retry.slowest_bytes_per_second is 0, and requests would never end".into());
        }
        if values.transfer.retry.deadline.is_zero() {
            return Err(
                "transfer.retry.deadline_seconds is 0, and no request would have time for an answer".into()
            );
        }
        values.namespace.parse::<NamespaceName>().map_err(|e| e.to_string())?;
        let said = toml::from_str(text).map_err(|e| e.to_string())?;
        Ok(Self { values, said })
    }

    /// Whether the file itself gives a value for a dotted key.
    pub(crate) fn says(&self, key: &str) -> bool {
        let mut table = Some(&self.said);
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            let Some(value) = table.and_then(|table| table.get(part)) else { return false };
            if parts.peek().is_none() {
                return true;
            }
            table = value.as_table();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_says_nothing() {
        let file = ConfigurationFile::parse("").unwrap();
        assert_eq!(file.values, Configuration::default());
        assert!(!file.says("namespace"));
    }

    #[test]
    fn a_file_says_what_it_says() {
        let file = ConfigurationFile::parse(
            "namespace = \"apps\"\n[transfer]\nmax_requests = 8\n[transfer.retry]\ntries = 2\n",
        )
        .unwrap();
        assert_eq!(file.values.namespace, "apps");
        assert_eq!(file.values.transfer.max_requests, 8);
        assert_eq!(file.values.transfer.retry.tries, 2);
        assert!(file.says("namespace") && file.says("transfer.retry.tries"));
        assert!(
            !file.says("transfer.retry.deadline_seconds") && !file.says("level") && !file.says("namespace.x")
        );
    }

    #[test]
    fn the_documentation_has_every_key() {
        let documented = include_str!("../../../docs/configuration.md");
        let (_, file) = documented.split_once("```toml\n").unwrap();
        let (file, _) = file.split_once("```").unwrap();
        let file = ConfigurationFile::parse(file).unwrap();
        let keys = ["store", "namespace", "cache_dir", "level", "transfer.upload_bytes_per_second"];
        let defaults = toml::Table::try_from(Configuration::default()).unwrap();
        let retry = defaults["transfer"]["retry"]
            .as_table()
            .unwrap()
            .keys()
            .map(|key| format!("transfer.retry.{key}"));
        let transfer = defaults["transfer"].as_table().unwrap().keys().map(|key| format!("transfer.{key}"));
        for key in retry.chain(transfer).chain(keys.map(str::to_owned)) {
            assert!(key == "transfer.retry" || file.says(&key), "{key}");
        }
        // What the comments call a default is one.
        assert_eq!(file.values.level, floe_format::DEFAULT_LEVEL);
        assert_eq!(file.values.transfer.retry, StoreSettings::default().retry);
        assert_eq!(file.values.transfer.max_requests, StoreSettings::default().max_requests);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for bad in [
            "stor = \"x\"",
            "[transfer]\nmax_request = 1",
            "[transfer.retry]\ntry = 1",
            "level = 20",
            "[transfer]\nmax_requests = 0",
            "[transfer.retry]\ntries = 0",
            "[transfer.retry]\nslowest_bytes_per_second = 0",
            "level = \"high\"",
            "namespace = \"a/b\"",
            "store = ",
        ] {
            assert!(ConfigurationFile::parse(bad).is_err(), "{bad}");
        }
    }
}
