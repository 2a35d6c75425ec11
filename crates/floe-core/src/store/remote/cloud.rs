//! Clients of the clouds, made of environment variables.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use url::{Host, Url};

use super::super::Environment;
use super::{Bucket, Versions, profile};
use crate::{Error, ErrorKind, Result};

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
        let url = endpoint_url(&endpoint)?;
        if url.scheme() == "http" && !allow_http {
            let message = format!(
                "the endpoint `{endpoint}` is plain HTTP, which anyone on the way can read; set FLOE_S3_ALLOW_HTTP=1 if that is meant"
            );
            return Err(Error::new(ErrorKind::Invalid, message));
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

/// The variable that says where the server is, and what it says.
fn named_endpoint(environment: &Environment) -> Option<(&'static str, &str)> {
    let names = ["FLOE_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
    names.into_iter().find_map(|name| Some((name, environment.get(name)?)))
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
    let Ok(mut url) = Url::parse(&endpoint) else { return Some((endpoint, variable)) };
    if url.username().is_empty() && url.password().is_none() && url.query().is_none() {
        return Some((endpoint, variable));
    }
    url.set_query(None);
    // Where an URL can hold neither, none was there.
    let _ = (url.set_username(""), url.set_password(None));
    Some((url.into(), variable))
}

/// Where the servers of a scheme are, if elsewhere than usual; for Azure also whose.
pub(super) fn endpoint(scheme: &str, environment: &Environment) -> Result<Option<String>> {
    let get = |name: &str| environment.get(name).map(str::to_owned);
    Ok(match scheme {
        "s3" => s3_endpoint(&profile::load(environment)?, environment),
        "gs" => get("GOOGLE_BASE_URL"),
        _ => {
            let account = get("AZURE_STORAGE_ACCOUNT_NAME").or_else(|| get("AZURE_STORAGE_ACCOUNT"));
            let parts = [account, get("AZURE_STORAGE_ENDPOINT"), get("AZURE_STORAGE_USE_EMULATOR")];
            Some(parts.map(Option::unwrap_or_default).join(" "))
        }
    })
}

/// A bucket of Google Cloud Storage.
pub(super) fn google(bucket: &str, environment: &Environment) -> Result<Client> {
    let mut builder = GoogleCloudStorageBuilder::new().with_bucket_name(bucket).with_retry(no_retries());
    let mut options = client_options();
    for name in [
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_PATH",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_BASE_URL",
        "GOOGLE_BEARER_TOKEN",
        "GOOGLE_SKIP_SIGNATURE",
    ] {
        let Some(value) = environment.get(name) else {
            continue;
        };
        if name == "GOOGLE_BASE_URL" && is_loopback(&endpoint_url(value)?) {
            // An emulator on this machine.
            options = options.with_allow_http(true);
        }
        let key = name.to_ascii_lowercase().parse().expect("names that the library knows");
        builder = builder.with_config(key, value);
    }
    let built =
        builder.with_client_options(options).build().map_err(|e| unusable("Google Cloud Storage", &e))?;
    Ok((Arc::new(built), Versions::Generation, None))
}

/// A container of Azure Blob Storage.
pub(super) fn azure(container: &str, environment: &Environment) -> Result<Client> {
    let mut builder = MicrosoftAzureBuilder::new()
        .with_retry(no_retries())
        .with_client_options(client_options())
        .with_container_name(container);
    for name in [
        "AZURE_STORAGE_ACCOUNT_NAME",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_TOKEN",
        "AZURE_STORAGE_CLIENT_ID",
        "AZURE_STORAGE_CLIENT_SECRET",
        "AZURE_STORAGE_TENANT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_TENANT_ID",
        "AZURE_AUTHORITY_HOST",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_MSI_ENDPOINT",
        "AZURE_OBJECT_ID",
        "AZURE_MSI_RESOURCE_ID",
        "AZURE_STORAGE_ENDPOINT",
        "AZURE_STORAGE_USE_EMULATOR",
    ] {
        let Some(value) = environment.get(name) else {
            continue;
        };
        if name == "AZURE_STORAGE_USE_EMULATOR" && environment.is_on(name) {
            builder = builder.with_allow_http(true);
        }
        let key = name.to_ascii_lowercase().parse().expect("names that the library knows");
        builder = builder.with_config(key, value);
    }
    // The names that Azure's own tools use.
    for (name, key) in [("AZURE_STORAGE_ACCOUNT", "account_name"), ("AZURE_STORAGE_KEY", "account_key")] {
        if let Some(value) = environment.get(name) {
            builder = builder.with_config(key.parse().expect("names that the library knows"), value);
        }
    }
    let built = builder.build().map_err(|e| unusable("Azure Blob Storage", &e))?;
    Ok((Arc::new(built), Versions::ETag, None))
}

fn no_retries() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: Duration::ZERO }
}

fn client_options() -> ClientOptions {
    // How long a request may take depends on its length, so that is up to the deadline around it.
    ClientOptions::new().with_timeout_disabled().with_connect_timeout(Duration::from_secs(5))
}

fn endpoint_url(endpoint: &str) -> Result<Url> {
    let url = Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.filter(|url| url.username().is_empty() && url.password().is_none()).ok_or_else(|| {
        Error::new(ErrorKind::Invalid, "the store's endpoint is not a URL of the form https://HOST[:PORT]")
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
    Error::new(ErrorKind::Invalid, message)
}
