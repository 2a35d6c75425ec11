//! Profiles in AWS's shared files, as far as static keys, region and endpoint go.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use super::super::Environment;
use crate::{Error, ErrorKind, Remedy, Result};

/// What a profile says.
#[derive(Debug, Default)]
pub(super) struct Profile {
    pub(super) keys: Option<Keys>,
    pub(super) region: Option<String>,
    pub(super) endpoint_url: Option<String>,
}

/// Static credentials.
pub(super) struct Keys {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) session_token: Option<String>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

/// Files that are longer are not what they are said to be.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The profile that `AWS_PROFILE` names, or the default one, which need not exist.
pub(super) fn load(environment: &Environment) -> Result<Profile> {
    let named = environment.get("AWS_PROFILE").or_else(|| environment.get("AWS_DEFAULT_PROFILE"));
    let name = named.unwrap_or("default");
    let mut found = false;
    let mut values = HashMap::new();
    // The credentials file wins over the configuration.
    for (variable, below_home, prefix) in [
        ("AWS_CONFIG_FILE", ".aws/config", "profile "),
        ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", ""),
    ] {
        let Some(path) = environment.file(variable, below_home) else {
            continue;
        };
        let Some(text) = read(&path)? else { continue };
        found |= section(&text, prefix, name, &mut values);
    }
    if named.is_some() && !found {
        let message = format!("the AWS profile `{}` is in neither of AWS's files", name.escape_debug());
        return Err(Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::Environment));
    }
    let mut take = |name: &str| values.remove(name).filter(|value| !value.is_empty());
    let keys = match (take("aws_access_key_id"), take("aws_secret_access_key")) {
        (Some(id), Some(secret)) => Some(Keys { id, secret, session_token: take("aws_session_token") }),
        (None, None) => None,
        _ => {
            let message = format!("the AWS profile `{name}` has one half of a key only");
            return Err(Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::Environment));
        }
    };
    let others = ["sso_session", "sso_start_url", "credential_process", "source_profile", "role_arn"];
    if let Some(other) =
        others.iter().find(|other| keys.is_none() && named.is_some() && take(other).is_some())
    {
        let message = format!(
            "the AWS profile `{name}` gets its keys by `{other}`, which is not supported; run `aws configure export-credentials --format env`"
        );
        return Err(Error::new(ErrorKind::Unsupported, message).with_remedy(Remedy::Environment));
    }
    Ok(Profile { keys, region: take("region"), endpoint_url: take("endpoint_url") })
}

fn read(path: &Path) -> Result<Option<String>> {
    let failed = |e| Error::io(format!("cannot read `{}`", path.display()), e);
    match fs::metadata(path) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(failed(e)),
        Ok(found) if !found.is_file() || found.len() > MAX_FILE_BYTES => {
            let message = format!("`{}` is not a file of AWS profiles", path.display());
            Err(Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::Environment))
        }
        Ok(_) => fs::read_to_string(path).map(Some).map_err(failed),
    }
}

/// Adds the values of a section; whether there is one.
fn section(text: &str, prefix: &str, name: &str, values: &mut HashMap<String, String>) -> bool {
    let mut inside = false;
    let mut found = false;
    for line in text.lines() {
        // Indented lines are nested settings of the value before.
        if line.starts_with([' ', '\t', '#', ';']) {
            continue;
        }
        if let Some(title) = line.trim_end().strip_prefix('[').and_then(|title| title.strip_suffix(']')) {
            let title = title.trim();
            let own = title.strip_prefix(prefix).map(str::trim) == Some(name);
            inside = own || (name == "default" && title == "default");
            found |= inside;
        } else if let Some((key, value)) = line.split_once('=').filter(|_| inside) {
            values.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(config: &str, credentials: &str, name: Option<&str>) -> Result<Profile> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(".aws")).unwrap();
        fs::write(dir.path().join(".aws/config"), config).unwrap();
        fs::write(dir.path().join(".aws/credentials"), credentials).unwrap();
        let home = ("HOME", dir.path().to_str().unwrap());
        load(&[home].into_iter().chain(name.map(|name| ("AWS_PROFILE", name))).collect())
    }

    const CONFIG: &str = "[default]\nregion = eu-1\n[profile dev]\nregion=eu-2\ns3 =\n  region = no\n# c\n[profile half]\naws_access_key_id = a\n[profile sso]\nsso_session = x\n";
    const CREDENTIALS: &str = "[default]\naws_access_key_id = AK1\naws_secret_access_key = S=1\n[dev]\r\naws_access_key_id=AK2\r\naws_secret_access_key=S2\r\naws_session_token=T\r\n";

    #[test]
    fn profiles_are_found_in_both_files() {
        let default = profile(CONFIG, CREDENTIALS, None).unwrap();
        let keys = default.keys.unwrap();
        assert_eq!((keys.id.as_str(), keys.secret.as_str(), keys.session_token), ("AK1", "S=1", None));
        assert_eq!(default.region.as_deref(), Some("eu-1"));

        let dev = profile(CONFIG, CREDENTIALS, Some("dev")).unwrap();
        let keys = dev.keys.unwrap();
        assert_eq!((keys.id.as_str(), keys.session_token.as_deref()), ("AK2", Some("T")));
        assert_eq!(dev.region.as_deref(), Some("eu-2"));
    }

    #[test]
    fn what_is_missing_is_said_without_secrets() {
        assert!(profile("", "", None).unwrap().keys.is_none());
        for (name, kind) in
            [("none", ErrorKind::Invalid), ("half", ErrorKind::Invalid), ("sso", ErrorKind::Unsupported)]
        {
            let error = profile(CONFIG, CREDENTIALS, Some(name)).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(name));
            assert_eq!(error.remedy(), Some(Remedy::Environment));
        }
        assert!(!format!("{:?}", profile(CONFIG, CREDENTIALS, None).unwrap()).contains("S=1"));
    }
}
