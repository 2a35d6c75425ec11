//! Clients of the clouds, made of environment variables.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use object_store::{BackoffConfig, ClientOptions, RetryConfig, StaticCredentialProvider};
use url::{Host, Url};

use super::super::Environment;
use super::{Bucket, Versions, connection_string, profile};
use crate::{Error, ErrorKind, Remedy, Result};

type Client = (Arc<dyn Bucket>, Versions, Option<&'static str>);

const NO_CREDENTIALS: &str = "no credentials are in the environment or in ~/.aws, so this machine's metadata service was asked for some";

/// The variables of AWS that we heed; others could switch off conditions, checksums or TLS.
const AWS_VARIABLES: [&str; 17] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_METADATA_ENDPOINT",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AWS_REQUEST_PAYER",
];

const GOOGLE_URL: &str = "https://storage.googleapis.com";

const NO_GOOGLE_CREDENTIALS: &str = "no credentials are in the environment, so those of gcloud or of this machine's metadata service were asked for";

const GOOGLE_CREDENTIALS: [&str; 5] = [
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_BEARER_TOKEN",
];

const NO_AZURE_CREDENTIALS: &str =
    "no credentials are in the environment, so this machine's metadata service was asked for some";

/// The account of every Azurite, and its key, which is no secret:
/// <https://learn.microsoft.com/en-us/azure/storage/common/storage-connect-azurite#well-known-storage-account-and-key>.
const AZURITE_URL: &str = "http://127.0.0.1:10000";
const AZURITE_ACCOUNT: &str = "devstoreaccount1";
const AZURITE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// The variables of Azure that we heed, and what the library calls them; of two that are called the same the later wins.
const AZURE_VARIABLES: [(&str, &str); 17] = [
    ("AZURE_STORAGE_ACCOUNT_KEY", "account_key"),
    ("AZURE_STORAGE_ACCESS_KEY", "account_key"),
    // The name that Azure's own tools use.
    ("AZURE_STORAGE_KEY", "account_key"),
    ("AZURE_STORAGE_SAS_KEY", "sas_key"),
    ("AZURE_STORAGE_SAS_TOKEN", "sas_key"),
    ("AZURE_STORAGE_TOKEN", "token"),
    ("AZURE_STORAGE_CLIENT_ID", "client_id"),
    ("AZURE_CLIENT_ID", "client_id"),
    ("AZURE_STORAGE_CLIENT_SECRET", "client_secret"),
    ("AZURE_CLIENT_SECRET", "client_secret"),
    ("AZURE_STORAGE_TENANT_ID", "tenant_id"),
    ("AZURE_TENANT_ID", "tenant_id"),
    ("AZURE_AUTHORITY_HOST", "authority_host"),
    ("AZURE_FEDERATED_TOKEN_FILE", "federated_token_file"),
    ("AZURE_MSI_ENDPOINT", "msi_endpoint"),
    ("AZURE_OBJECT_ID", "object_id"),
    ("AZURE_MSI_RESOURCE_ID", "msi_resource_id"),
];

/// A bucket of S3 or of a server like it.
pub(super) fn s3(bucket: &str, environment: &Environment) -> Result<Client> {
    let profile = profile::load(environment)?;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_retry(no_retries())
        .with_client_options(client_options())
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        // One object is one DELETE, which every server knows.
        .with_disable_bulk_delete(true);
    if let Some(region) = &profile.region {
        builder = builder.with_region(region);
    }
    for name in AWS_VARIABLES {
        let Some(value) = environment.get(name) else {
            continue;
        };
        let key: AmazonS3ConfigKey = name.to_ascii_lowercase().parse().expect("names that the library knows");
        builder = builder.with_config(key, value);
    }
    let allow_http = environment.is_on("FLOE_S3_ALLOW_HTTP");
    if let Some(endpoint) = s3_endpoint(&profile, environment) {
        let url = endpoint_url("s3", &endpoint)?;
        if url.scheme() == "http" && !allow_http {
            return Err(plain_http(&endpoint, "set FLOE_S3_ALLOW_HTTP=1 if that is meant"));
        }
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    // After the variables, of which none may allow it.
    builder = builder.with_allow_http(allow_http);

    let has_own = [
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ]
    .iter()
    .any(|name| environment.get(name).is_some());
    let mut hint = None;
    if !has_own {
        match &profile.keys {
            Some(keys) => {
                builder = builder.with_access_key_id(&keys.id).with_secret_access_key(&keys.secret);
                if let Some(token) = &keys.session_token {
                    builder = builder.with_token(token);
                }
            }
            None => hint = Some(NO_CREDENTIALS),
        }
    }
    Ok((Arc::new(builder.build().map_err(|e| unusable("S3", &e))?), Versions::ETag, hint))
}

fn s3_endpoint(profile: &profile::Profile, environment: &Environment) -> Option<String> {
    let named = named_endpoint(environment).map(|(_, endpoint)| endpoint.to_owned());
    named.or_else(|| profile.endpoint_url.clone())
}

/// The variable that says where S3's server is, and what it says.
fn named_endpoint(environment: &Environment) -> Option<(&'static str, &str)> {
    first_of(environment, &["FLOE_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
}

fn first_of<'e>(environment: &'e Environment, names: &[&'static str]) -> Option<(&'static str, &'e str)> {
    names.iter().find_map(|name| Some((*name, environment.get(name)?)))
}

/// Where S3 is asked for, and by what: a variable of the environment, or the AWS profile. Holds no secret, and tells
/// nothing of a profile that cannot be read.
pub(in crate::store) fn shown_s3_endpoint(
    environment: &Environment,
) -> Option<(String, Option<&'static str>)> {
    let (endpoint, variable) = match named_endpoint(environment) {
        Some((variable, endpoint)) => (endpoint.to_owned(), Some(variable)),
        None => (profile::load(environment).ok()?.endpoint_url?, None),
    };
    Some((without_secrets(endpoint), variable))
}

/// Where Google Cloud Storage is asked for, and the variable that says so. Holds no secret.
pub(in crate::store) fn shown_google_endpoint(environment: &Environment) -> Option<(String, &'static str)> {
    let (variable, endpoint) = first_of(environment, &["STORAGE_EMULATOR_HOST", "GOOGLE_BASE_URL"])?;
    Some((without_secrets(endpoint.to_owned()), variable))
}

/// Where Azure Blob Storage is asked for, and the variable that says so. Holds no secret.
pub(in crate::store) fn shown_azure_endpoint(environment: &Environment) -> Option<(String, &'static str)> {
    let said = connection_string::expanded(environment).ok()?;
    let mut named = first_of(&said, &["AZURE_STORAGE_ENDPOINT"]);
    if named.is_none() && said.is_on("AZURE_STORAGE_USE_EMULATOR") {
        let usual = ("AZURE_STORAGE_USE_EMULATOR", AZURITE_URL);
        named = first_of(&said, &["AZURITE_BLOB_STORAGE_URL"]).or(Some(usual));
    }
    let (variable, endpoint) = named?;
    let variable = first_of(environment, &[connection_string::VARIABLE]).map_or(variable, |(name, _)| name);
    Some((without_secrets(endpoint.to_owned()), variable))
}

/// An URL without what it may say of who asks.
fn without_secrets(endpoint: String) -> String {
    let Ok(mut url) = Url::parse(&endpoint) else { return endpoint };
    if url.username().is_empty() && url.password().is_none() && url.query().is_none() {
        return endpoint;
    }
    url.set_query(None);
    // Where an URL can hold neither, none was there.
    let _ = (url.set_username(""), url.set_password(None));
    url.into()
}

/// Where the servers of a scheme are, if elsewhere than usual; for Azure also whose.
pub(super) fn endpoint(scheme: &str, environment: &Environment) -> Result<Option<String>> {
    Ok(match scheme {
        "s3" => s3_endpoint(&profile::load(environment)?, environment),
        "gs" => google_endpoint(environment)?.map(|(url, _)| url),
        _ => {
            let environment = &*connection_string::expanded(environment)?;
            let account = azure_account(environment).unwrap_or_default();
            Some([account, &azure_endpoint(environment)?.unwrap_or_default()].join(" "))
        }
    })
}

/// A bucket of Google Cloud Storage.
pub(super) fn google(bucket: &str, environment: &Environment) -> Result<Client> {
    let endpoint = google_endpoint(environment)?;
    let is_emulator = endpoint.as_ref().is_some_and(|(_, is_emulator)| *is_emulator);
    let is_plain = endpoint.as_ref().is_some_and(|(url, _)| url.starts_with("http:"));
    let url = endpoint.map_or_else(|| GOOGLE_URL.to_owned(), |(url, _)| url);
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(bucket)
        .with_retry(no_retries())
        .with_client_options(client_options().with_allow_http(is_plain))
        // Always said: else a file of credentials might say it.
        .with_base_url(&url);
    let mut hint = None;
    if is_emulator || environment.is_on("GOOGLE_SKIP_SIGNATURE") {
        // The library's own skipping is of reads only: its writes ask the metadata service.
        let nobody = GcpCredential { bearer: String::new() };
        builder = builder
            .with_skip_signature(true)
            .with_credentials(Arc::new(StaticCredentialProvider::new(nobody)));
    } else {
        let mut has_own = false;
        for name in GOOGLE_CREDENTIALS {
            let Some(value) = environment.get(name) else {
                continue;
            };
            has_own = true;
            let key = name.to_ascii_lowercase().parse().expect("names that the library knows");
            builder = builder.with_config(key, value);
        }
        hint = (!has_own).then_some(NO_GOOGLE_CREDENTIALS);
    }
    let built = builder.build().map_err(|e| unusable("Google Cloud Storage", &e))?;
    Ok((Arc::new(built), Versions::Generation, hint))
}

/// Where Google's servers are, if elsewhere than usual, and whether that is an emulator, which asks for no credentials.
fn google_endpoint(environment: &Environment) -> Result<Option<(String, bool)>> {
    // Google's own tools heed it, and take a host alone, too.
    if let Some(host) = environment.get("STORAGE_EMULATOR_HOST") {
        let url = if host.contains("://") { host.to_owned() } else { format!("http://{host}") };
        endpoint_url("gcs", &url)?;
        return Ok(Some((without_slash(&url), true)));
    }
    let Some(url) = environment.get("GOOGLE_BASE_URL") else {
        return Ok(None);
    };
    let parsed = endpoint_url("gcs", url)?;
    if parsed.scheme() == "http" && !is_loopback(&parsed) {
        return Err(plain_http(url, "name it in STORAGE_EMULATOR_HOST if it is an emulator"));
    }
    Ok(Some((without_slash(url), false)))
}

/// A container of Azure Blob Storage.
pub(super) fn azure(container: &str, environment: &Environment) -> Result<Client> {
    let environment = &*connection_string::expanded(environment)?;
    let mut builder = MicrosoftAzureBuilder::new()
        .with_retry(no_retries())
        .with_client_options(client_options())
        .with_container_name(container);
    let mut has_own = false;
    for (name, key) in AZURE_VARIABLES {
        if let Some(value) = environment.get(name) {
            has_own |=
                matches!(key, "account_key" | "sas_key" | "token" | "client_secret" | "federated_token_file");
            builder = builder.with_config(key.parse().expect("names that the library knows"), value);
        }
    }
    if let Some(account) = azure_account(environment) {
        builder = builder.with_account(account);
    }
    if let Some(endpoint) = azure_endpoint(environment)? {
        builder = builder.with_endpoint(endpoint);
    }
    let mut hint = None;
    match (environment.is_on("AZURE_STORAGE_USE_EMULATOR"), has_own) {
        (true, true) => builder = builder.with_allow_http(true),
        (true, false) => builder = builder.with_allow_http(true).with_access_key(AZURITE_KEY),
        (false, true) => {}
        (false, false) => hint = Some(NO_AZURE_CREDENTIALS),
    }
    let built = builder.build().map_err(|e| unusable("Azure Blob Storage", &e))?;
    Ok((Arc::new(built), Versions::ETag, hint))
}

/// Whose containers: the first name is that of Azure's own tools.
fn azure_account(environment: &Environment) -> Option<&str> {
    let named = ["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"];
    let named = named.iter().find_map(|name| environment.get(name));
    named.or_else(|| environment.is_on("AZURE_STORAGE_USE_EMULATOR").then_some(AZURITE_ACCOUNT))
}

/// Where Azure's servers are, if elsewhere than usual.
///
/// The library's own way to an emulator reads the environment of the process, so it is not taken.
fn azure_endpoint(environment: &Environment) -> Result<Option<String>> {
    let is_emulator = environment.is_on("AZURE_STORAGE_USE_EMULATOR");
    if let Some(url) = environment.get("AZURE_STORAGE_ENDPOINT") {
        if endpoint_url("azure", url)?.scheme() == "http" && !is_emulator {
            return Err(plain_http(url, "set AZURE_STORAGE_USE_EMULATOR=1 if it is an emulator"));
        }
        return Ok(Some(without_slash(url)));
    }
    if !is_emulator {
        return Ok(None);
    }
    let server = environment.get("AZURITE_BLOB_STORAGE_URL").unwrap_or(AZURITE_URL);
    endpoint_url("azure", server)?;
    let account = azure_account(environment).unwrap_or(AZURITE_ACCOUNT);
    Ok(Some(format!("{}/{account}", without_slash(server))))
}

fn plain_http(endpoint: &str, remedy: &str) -> Error {
    let message =
        format!("the endpoint `{endpoint}` is plain HTTP, which anyone on the way can read; {remedy}");
    Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::Endpoint)
}

/// Paths are put after it.
fn without_slash(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

fn no_retries() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: Duration::ZERO }
}

fn client_options() -> ClientOptions {
    // How long a request may take depends on its length, so that is up to the deadline around it.
    ClientOptions::new().with_timeout_disabled().with_connect_timeout(Duration::from_secs(5))
}

/// What a person has said, as an URL; `floe config show` tells the setting, and who said it.
fn endpoint_url(cloud: &str, endpoint: &str) -> Result<Url> {
    let url = Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.filter(|url| url.username().is_empty() && url.password().is_none()).ok_or_else(|| {
        let message = format!("the setting `{cloud}.endpoint` is not a URL of the form https://HOST[:PORT]");
        Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::Endpoint)
    })
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Clients are made of secrets, so what is wrong with them is not repeated.
fn unusable(cloud: &str, e: &object_store::Error) -> Error {
    let named = e.to_string();
    let what =
        ["AccessKeyId", "SecretAccessKey", "Account", "Container"].iter().find(|word| named.contains(*word));
    let what = what.map_or_else(String::new, |word| format!(" (missing or wrong: {word})"));
    let message = format!("the environment's settings and credentials make no client of {cloud}{what}");
    Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::Environment)
}
