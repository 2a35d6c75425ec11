//! What holds for one run: a flag before the environment, that before the configuration file, that before the
//! default.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use floe_core::NamespaceName;
use floe_core::store::{Environment, ShownEndpoint, StoreSettings, shown_endpoints};
use serde::Serialize;
use serde_json::Value;

use crate::arguments::CommonArguments;
use crate::configuration::{Configuration, ConfigurationFile};
use crate::failure::{Code, Failure};

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Origin {
    /// The command line.
    Flag,
    /// An environment variable.
    Environment,
    /// The configuration file.
    File,
    /// The AWS profile.
    Profile,
    /// Nobody said otherwise.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Profile => "profile",
            Self::Default => "default",
        })
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug)]
struct Setting<T> {
    value: T,
    origin: Origin,
}

impl<T> Setting<T> {
    /// The first that is given, the default if none is.
    fn choose(flag: Option<T>, environment: Option<T>, file: Option<T>, default: T) -> Self {
        let (value, origin) = match (flag, environment, file) {
            (Some(value), ..) => (value, Origin::Flag),
            (None, Some(value), _) => (value, Origin::Environment),
            (None, None, Some(value)) => (value, Origin::File),
            (None, None, None) => (default, Origin::Default),
        };
        Self { value, origin }
    }
}

/// The settings of one run.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    path: PathBuf,
    file: ConfigurationFile,
    store: Setting<String>,
    namespace: Setting<NamespaceName>,
    cache_dir: Setting<PathBuf>,
}

/// Refuses a path in the configuration file that would be another one in each directory. Nothing in it is expanded.
fn check_in_file<T: AsRef<OsStr>>(setting: &Setting<T>, key: &str, is_path: bool) -> Result<(), Failure> {
    let path = Path::new(&setting.value);
    if setting.origin != Origin::File || !is_path || path.is_absolute() {
        return Ok(());
    }
    let message =
        format!("`{key}` in the configuration file is {}, which is no absolute path", path.display());
    Err(Failure::new(Code::Usage, message, "Write the whole path; `~` and variables are not expanded there."))
}

/// One line of `floe config show`.
#[derive(Debug, Serialize)]
pub(crate) struct ShownSetting {
    /// Its key, tables and names joined by dots.
    pub(crate) key: String,
    /// What it is, null for no limit.
    pub(crate) value: Value,
    /// Where it comes from.
    pub(crate) origin: Origin,
    /// The variable of the environment that says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) variable: Option<&'static str>,
}

impl Settings {
    /// The settings that these options, the environment and the configuration file make.
    pub(crate) fn load(common: &CommonArguments) -> Result<Self, Failure> {
        Self::from(common, &|name| std::env::var_os(name).filter(|value| !value.is_empty()))
    }

    fn from(common: &CommonArguments, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, Failure> {
        let below_home = |base: &str, below: &str| {
            // The specification of base directories: relative ones are ignored.
            let base = variable(base).map(PathBuf::from).filter(|path| path.is_absolute());
            let home = || variable("HOME").map(|home| PathBuf::from(home).join(below));
            base.or_else(home).map(|base| base.join("floe")).ok_or_else(|| {
                let advice =
                    "Set HOME, or name the directories with FLOE_STORE, FLOE_CACHE_DIR and XDG_CONFIG_HOME.";
                Failure::new(Code::Usage, "there is no home directory to keep things in", advice)
            })
        };
        let path = below_home("XDG_CONFIG_HOME", ".config").map(|dir| dir.join("config.toml"));
        let file = path
            .as_ref()
            .ok()
            .map_or_else(|| Ok(ConfigurationFile::default()), |p| ConfigurationFile::read(p))?;
        let said: &Configuration = &file.values;

        let store = Setting::choose(
            common.store.clone(),
            text(variable, "FLOE_STORE")?,
            said.store.clone(),
            String::new(),
        );
        check_in_file(&store, "store", !store.value.contains("://"))?;
        let store = match store.origin {
            Origin::Default => {
                Setting { value: as_text(below_home("XDG_DATA_HOME", ".local/share")?)?, ..store }
            }
            _ => store,
        };
        let from_environment = match text(variable, "FLOE_NAMESPACE")? {
            Some(name) => Some(name.parse().map_err(|e| in_variable("FLOE_NAMESPACE", &e))?),
            None => None,
        };
        let from_file = match file.says("namespace") {
            true => Some(said.namespace.parse::<NamespaceName>().map_err(Failure::from)?),
            false => None,
        };
        let namespace =
            Setting::choose(common.namespace.clone(), from_environment, from_file, NamespaceName::default());
        let cache_dir = Setting::choose(
            common.cache_dir.clone(),
            variable("FLOE_CACHE_DIR").map(PathBuf::from),
            said.cache_dir.clone(),
            PathBuf::new(),
        );
        check_in_file(&cache_dir, "cache_dir", true)?;
        let cache_dir = match cache_dir.origin {
            Origin::Default => Setting { value: below_home("XDG_CACHE_HOME", ".cache")?, ..cache_dir },
            _ => cache_dir,
        };
        Ok(Self { path: path.unwrap_or_default(), file, store, namespace, cache_dir })
    }

    /// Where the snapshots are.
    pub(crate) fn store(&self) -> &str {
        &self.store.value
    }

    /// Which namespace of the store.
    pub(crate) fn namespace(&self) -> &NamespaceName {
        &self.namespace.value
    }

    /// Where caches are kept.
    pub(crate) fn cache_dir(&self) -> &PathBuf {
        &self.cache_dir.value
    }

    /// How hard pushes compress.
    pub(crate) fn level(&self) -> i32 {
        self.file.values.level
    }

    /// How requests are made and limited.
    pub(crate) fn transfer(&self) -> &StoreSettings {
        &self.file.values.transfer
    }

    /// Where the configuration file is or would be.
    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Every setting, in the order of the configuration file.
    pub(crate) fn shown(&self) -> Vec<ShownSetting> {
        let line = |key: &str, value: String, origin, variable| ShownSetting {
            key: key.into(),
            value: value.into(),
            origin,
            variable: (origin == Origin::Environment).then_some(variable),
        };
        let cache_dir = self.cache_dir.value.display().to_string();
        let mut shown = vec![
            line("store", self.store.value.clone(), self.store.origin, "FLOE_STORE"),
            line("namespace", self.namespace.value.to_string(), self.namespace.origin, "FLOE_NAMESPACE"),
            line("cache_dir", cache_dir, self.cache_dir.origin, "FLOE_CACHE_DIR"),
        ];
        let Ok(Value::Object(values)) = serde_json::to_value(&self.file.values) else { return shown };
        for (key, value) in values {
            if !shown.iter().any(|setting| setting.key == key) {
                self.flatten(key, value, &mut shown);
            }
        }
        shown
    }

    fn flatten(&self, key: String, value: Value, shown: &mut Vec<ShownSetting>) {
        match value {
            Value::Object(table) => {
                for (name, value) in table {
                    self.flatten(format!("{key}.{name}"), value, shown);
                }
            }
            value => {
                let origin = if self.file.says(&key) { Origin::File } else { Origin::Default };
                shown.push(ShownSetting { key, value, origin, variable: None });
            }
        }
    }
}

/// What the environment and the AWS profile say of the clouds, without credentials.
pub(crate) fn shown_clouds(environment: &Environment) -> Vec<ShownSetting> {
    let mut shown = Vec::new();
    for ShownEndpoint { cloud, url, variable } in shown_endpoints(environment) {
        let origin = match (&url, variable) {
            (None, _) => Origin::Default,
            (Some(_), Some(_)) => Origin::Environment,
            (Some(_), None) => Origin::Profile,
        };
        shown.push(ShownSetting { key: format!("{cloud}.endpoint"), value: url.into(), origin, variable });
        let switch = match cloud {
            "s3" => ("s3.allow_http", "FLOE_S3_ALLOW_HTTP"),
            "azure" => ("azure.use_emulator", "AZURE_STORAGE_USE_EMULATOR"),
            _ => continue,
        };
        let (key, variable) = switch;
        let says = environment.get(variable).is_some();
        shown.push(ShownSetting {
            key: key.into(),
            value: environment.is_on(variable).into(),
            origin: if says { Origin::Environment } else { Origin::Default },
            variable: says.then_some(variable),
        });
    }
    shown
}

/// The environment variables that stores look at.
pub(crate) fn store_environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn text(variable: &dyn Fn(&str) -> Option<OsString>, name: &str) -> Result<Option<String>, Failure> {
    let not_text = |_| in_variable(name, &"it is not UTF-8");
    variable(name).map(|value| value.into_string().map_err(not_text)).transpose()
}

fn in_variable(name: &str, reason: &dyn fmt::Display) -> Failure {
    Failure::new(Code::Usage, format!("{name} cannot be used: {reason}"), format!("Correct or unset {name}."))
}

fn as_text(path: PathBuf) -> Result<String, Failure> {
    path.into_os_string().into_string().map_err(|path| {
        let message = format!("the data directory {} is not UTF-8", path.display());
        Failure::new(Code::Usage, message, "Name a store with --store.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(common: &CommonArguments, variables: &[(&str, &str)]) -> Settings {
        let variable = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        Settings::from(common, &variable).unwrap()
    }

    fn origin(settings: &Settings, key: &str) -> Origin {
        settings.shown().into_iter().find(|setting| setting.key == key).unwrap().origin
    }

    #[test]
    fn with_nothing_said_all_is_below_the_home_directory() {
        let settings = load(&CommonArguments::default(), &[("HOME", "/nonexistent")]);
        assert_eq!(settings.store(), "/nonexistent/.local/share/floe");
        assert_eq!(settings.cache_dir(), &PathBuf::from("/nonexistent/.cache/floe"));
        assert_eq!(settings.path(), &PathBuf::from("/nonexistent/.config/floe/config.toml"));
        assert!(settings.shown().iter().all(|setting| setting.origin == Origin::Default));
    }

    #[test]
    fn a_flag_wins_over_the_environment_that_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("floe")).unwrap();
        let file = "store = \"/of-file\"\nnamespace = \"of-file\"\ncache_dir = \"/of-file\"\n";
        std::fs::write(dir.path().join("floe/config.toml"), file).unwrap();
        let config = dir.path().to_str().unwrap();
        let variables = [
            ("HOME", "/nonexistent"),
            ("XDG_CONFIG_HOME", config),
            ("FLOE_STORE", "/of-environment"),
            ("FLOE_NAMESPACE", "of-environment"),
        ];
        let common = CommonArguments { store: Some("/of-flag".into()), ..CommonArguments::default() };
        let settings = load(&common, &variables);
        assert_eq!(settings.store(), "/of-flag");
        assert_eq!(settings.namespace().as_str(), "of-environment");
        assert_eq!(settings.cache_dir(), &PathBuf::from("/of-file"));
        assert_eq!(origin(&settings, "store"), Origin::Flag);
        assert_eq!(origin(&settings, "namespace"), Origin::Environment);
        assert_eq!(origin(&settings, "cache_dir"), Origin::File);
        assert_eq!(origin(&settings, "transfer.retry.tries"), Origin::Default);
    }

    #[test]
    fn relative_base_directories_are_ignored() {
        let variables = [("HOME", "/nonexistent"), ("XDG_CACHE_HOME", "relative")];
        let settings = load(&CommonArguments::default(), &variables);
        assert_eq!(settings.cache_dir(), &PathBuf::from("/nonexistent/.cache/floe"));
    }

    #[test]
    fn of_clouds_is_shown_who_says_where_they_are_and_no_secret() {
        let shown = |variables: &[(&str, &str)], key: &str| {
            let environment = variables.iter().copied().collect::<Environment>();
            let mut all = shown_clouds(&environment).into_iter();
            let found = all.find(|setting| setting.key == key).unwrap();
            (found.value, found.origin, found.variable)
        };
        let said = |url: &str, variable| (Value::from(url), Origin::Environment, Some(variable));
        let nobody = (Value::Null, Origin::Default, None);
        let secrets = [("AWS_SECRET_ACCESS_KEY", "secret"), ("AZURE_STORAGE_KEY", "secret")];
        for key in ["s3.endpoint", "gcs.endpoint", "azure.endpoint"] {
            assert_eq!(shown(&secrets, key), nobody, "{key}");
        }
        for key in ["s3.allow_http", "azure.use_emulator"] {
            assert_eq!(shown(&secrets, key), (Value::from(false), Origin::Default, None), "{key}");
        }
        let both = [("AWS_ENDPOINT_URL", "http://aws"), ("FLOE_S3_ENDPOINT", "http://floe")];
        assert_eq!(shown(&both, "s3.endpoint"), said("http://floe", "FLOE_S3_ENDPOINT"));
        let secret =
            [("AWS_ENDPOINT_URL", "http://me:secret@host:9000/?key=secret"), ("FLOE_S3_ALLOW_HTTP", "1")];
        assert_eq!(shown(&secret, "s3.endpoint"), said("http://host:9000/", "AWS_ENDPOINT_URL"));
        let allowed = (Value::from(true), Origin::Environment, Some("FLOE_S3_ALLOW_HTTP"));
        assert_eq!(shown(&secret, "s3.allow_http"), allowed);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        std::fs::write(&file, "[default]\nendpoint_url = http://profile\n").unwrap();
        let profile = [("AWS_CONFIG_FILE", file.to_str().unwrap())];
        assert_eq!(shown(&profile, "s3.endpoint"), (Value::from("http://profile"), Origin::Profile, None));

        let emulator = [("STORAGE_EMULATOR_HOST", "127.0.0.1:4443")];
        assert_eq!(shown(&emulator, "gcs.endpoint"), said("127.0.0.1:4443", "STORAGE_EMULATOR_HOST"));
        let azure = [("AZURE_STORAGE_ENDPOINT", "https://host/me?sig=secret")];
        assert_eq!(shown(&azure, "azure.endpoint"), said("https://host/me", "AZURE_STORAGE_ENDPOINT"));
        let azurite = [("AZURE_STORAGE_USE_EMULATOR", "1")];
        let usual = said("http://127.0.0.1:10000", "AZURE_STORAGE_USE_EMULATOR");
        assert_eq!(shown(&azurite, "azure.endpoint"), usual);
        let text = "AccountName=me;AccountKey=secret;BlobEndpoint=https://host/me";
        let connection = [("AZURE_STORAGE_CONNECTION_STRING", text)];
        assert_eq!(
            shown(&connection, "azure.endpoint"),
            said("https://host/me", "AZURE_STORAGE_CONNECTION_STRING")
        );
    }
}
