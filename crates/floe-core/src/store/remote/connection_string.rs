//! Azure's connection string, which says in one variable what several say otherwise.

use std::borrow::Cow;
use std::collections::BTreeMap;

use url::{Host, Url};

use super::super::Environment;
use crate::{Error, ErrorKind, Result};

pub(super) const VARIABLE: &str = "AZURE_STORAGE_CONNECTION_STRING";

/// What it takes the place of, as in Azure's own tools: half of one and half of the other would be nobody's.
const REPLACED: [&str; 9] = [
    "AZURE_STORAGE_ACCOUNT",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "AZURE_STORAGE_ENDPOINT",
];

/// The environment with the variables that a connection string stands for, if there is one.
pub(super) fn expanded(environment: &Environment) -> Result<Cow<'_, Environment>> {
    let Some(text) = environment.get(VARIABLE) else { return Ok(Cow::Borrowed(environment)) };
    let mut parts = BTreeMap::new();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        // Keys and signatures have `=` in them.
        let (name, value) = part.split_once('=').ok_or_else(|| wrong("has a part that is not NAME=VALUE"))?;
        parts.insert(name.to_ascii_lowercase(), value);
    }
    let part = |name: &str| parts.get(name).copied().filter(|value| !value.is_empty());
    let mut expanded = environment.without(&REPLACED);
    let mut set = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            expanded.set(name, value);
        }
    };
    if part("usedevelopmentstorage").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        set("AZURE_STORAGE_USE_EMULATOR", Some("1"));
        return Ok(Cow::Owned(expanded));
    }
    let named = part("blobendpoint")
        .map(|endpoint| Url::parse(endpoint).map_err(|_| wrong("has a BlobEndpoint that is no URL")));
    let named = named.transpose()?;
    let account = match (part("accountname"), &named) {
        (Some(account), _) => account.to_owned(),
        (None, Some(endpoint)) => account_at(endpoint).ok_or_else(|| wrong("names no account"))?,
        (None, None) => return Err(wrong("names no account")),
    };
    let protocol = part("defaultendpointsprotocol").unwrap_or("https");
    let endpoint = match (part("blobendpoint"), part("endpointsuffix").unwrap_or(USUAL_SUFFIX)) {
        (Some(endpoint), _) => Some(endpoint.to_owned()),
        (None, USUAL_SUFFIX) if protocol.eq_ignore_ascii_case("https") => None,
        (None, suffix) => Some(format!("{protocol}://{account}.blob.{suffix}")),
    };
    set("AZURE_STORAGE_ACCOUNT", Some(&account));
    set("AZURE_STORAGE_KEY", part("accountkey"));
    set("AZURE_STORAGE_SAS_TOKEN", part("sharedaccesssignature").map(|sas| sas.trim_start_matches('?')));
    set("AZURE_STORAGE_ENDPOINT", endpoint.as_deref());
    Ok(Cow::Owned(expanded))
}

/// Where Azure is when nothing else is said.
const USUAL_SUFFIX: &str = "core.windows.net";

/// Whose the endpoint is: `ACCOUNT.blob.SUFFIX`, or `ADDRESS/ACCOUNT`.
fn account_at(endpoint: &Url) -> Option<String> {
    let first = match endpoint.host()? {
        Host::Domain(name) if name.contains('.') => name.split('.').next(),
        _ => endpoint.path_segments()?.next(),
    };
    first.filter(|account| !account.is_empty()).map(str::to_owned)
}

/// It holds secrets, so it is not repeated.
fn wrong(what: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("{VARIABLE} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Account, key, signature, endpoint and whether it is an emulator's.
    fn parts(text: &str) -> Result<[String; 5]> {
        let before =
            [(VARIABLE, text), ("AZURE_STORAGE_KEY", "of another"), ("AZURE_STORAGE_ACCOUNT", "another")];
        let environment: Environment = before.into_iter().collect();
        let expanded = expanded(&environment)?;
        let names = ["ACCOUNT", "KEY", "SAS_TOKEN", "ENDPOINT", "USE_EMULATOR"];
        Ok(names.map(|name| expanded.get(&format!("AZURE_STORAGE_{name}")).unwrap_or_default().to_owned()))
    }

    #[test]
    fn a_connection_string_stands_for_variables() {
        for (text, is) in [
            (
                "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5==;EndpointSuffix=core.windows.net",
                ["a", "a2V5==", "", "", ""],
            ),
            ("AccountName=a;AccountKey=k", ["a", "k", "", "", ""]),
            (" accountname=a ; accountkey=k ;", ["a", "k", "", "", ""]),
            (
                "AccountName=a;AccountKey=k;EndpointSuffix=core.chinacloudapi.cn",
                ["a", "k", "", "https://a.blob.core.chinacloudapi.cn", ""],
            ),
            (
                "BlobEndpoint=https://a.blob.core.windows.net/;SharedAccessSignature=?sv=1&sig=x%3D=",
                ["a", "", "sv=1&sig=x%3D=", "https://a.blob.core.windows.net/", ""],
            ),
            (
                "DefaultEndpointsProtocol=http;BlobEndpoint=http://127.0.0.1:1/a;AccountKey=k;QueueEndpoint=http://127.0.0.1:2/a",
                ["a", "k", "", "http://127.0.0.1:1/a", ""],
            ),
            ("UseDevelopmentStorage=true", ["", "", "", "", "1"]),
        ] {
            assert_eq!(parts(text).unwrap(), is, "{text}");
        }
        for text in [
            "AccountName",
            "AccountKey=secret",
            "BlobEndpoint=secret",
            "BlobEndpoint=https://localhost/;AccountKey=k",
            ";",
        ] {
            let error = parts(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let none = Environment::from_iter([("AZURE_STORAGE_KEY", "k")]);
        assert_eq!(expanded(&none).unwrap().get("AZURE_STORAGE_KEY"), Some("k"));
    }
}
