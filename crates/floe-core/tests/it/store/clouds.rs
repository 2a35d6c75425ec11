//! Google's and Azure's clouds: where they are, and answers that servers rarely give.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use floe_core::store::{
    Environment, KeyPrefix, PartTag, PartsId, PutMode, Store, Version, conditions_of, probe_conditions,
};
use floe_core::{Error, ErrorKind, Result};
use floe_testkit::CannedServer;

use super::key;
use super::remote::{once, open};

/// A client of each kind for whatever is at an endpoint, by the variables that people use.
fn environments(endpoint: &str) -> [(&'static str, Environment); 2] {
    let google = [("STORAGE_EMULATOR_HOST", endpoint.to_owned())];
    let azure = [
        ("AZURE_STORAGE_USE_EMULATOR", "1".to_owned()),
        ("AZURE_STORAGE_ENDPOINT", format!("{endpoint}/devstoreaccount1")),
    ];
    [("gs://floe/p", google.into_iter().collect()), ("az://floe/p", azure.into_iter().collect())]
}

fn opened(location: &str, variables: &[(&str, &str)]) -> Result<Arc<dyn Store>> {
    open(location, &once(), &variables.iter().copied().collect())
}

/// What is asked of a server where these variables say that it is, by a creation.
async fn asked(location: &str, variables: impl Fn(&str) -> Vec<(&'static str, String)>) -> String {
    let headers = ["ETag: \"e\"", "x-goog-generation: 7", "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT"];
    let server = CannedServer::start("200 OK", &headers, "").await.unwrap();
    let store = open(location, &once(), &variables(server.endpoint()).into_iter().collect()).unwrap();
    store.put(&key("ns/a"), Bytes::from_static(b"x"), PutMode::Create).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    asked[0].to_ascii_lowercase()
}

#[tokio::test]
async fn emulators_are_where_the_environment_says() {
    let host = |endpoint: &str| endpoint.trim_start_matches("http://").to_owned();
    let put = "put /floe/p%2fns%2fa ";
    for variables in [
        &(|url: &str| vec![("STORAGE_EMULATOR_HOST", url.to_owned())]) as &dyn Fn(&str) -> Vec<_>,
        &|url| vec![("STORAGE_EMULATOR_HOST", format!("{url}/"))],
        &|url| vec![("STORAGE_EMULATOR_HOST", host(url)), ("GOOGLE_BASE_URL", "https://[::1]:9".into())],
        // A token is for nobody at an emulator.
        &|url| vec![("STORAGE_EMULATOR_HOST", url.to_owned()), ("GOOGLE_BEARER_TOKEN", "hidden".into())],
        &|url| vec![("GOOGLE_BASE_URL", format!("{url}/")), ("GOOGLE_SKIP_SIGNATURE", "true".into())],
    ] {
        let asked = asked("gs://floe/p", variables).await;
        assert!(asked.starts_with(put) && asked.contains("x-goog-if-generation-match: 0"), "{asked}");
        assert!(!asked.contains("hidden"), "{asked}");
    }
    let put = "put /devstoreaccount1/floe/p/ns/a ";
    let emulator = ("AZURE_STORAGE_USE_EMULATOR", "1".to_owned());
    for variables in [
        &(|url: &str| vec![("AZURE_STORAGE_ENDPOINT", format!("{url}/devstoreaccount1"))])
            as &dyn Fn(&str) -> Vec<_>,
        &|url| vec![("AZURE_STORAGE_ENDPOINT", format!("{url}/devstoreaccount1/"))],
        &|url| vec![("AZURITE_BLOB_STORAGE_URL", url.to_owned())],
        &|url| vec![("AZURITE_BLOB_STORAGE_URL", format!("{url}/"))],
    ] {
        let asked = asked("az://floe/p", |url| [variables(url), vec![emulator.clone()]].concat()).await;
        assert!(asked.starts_with(put) && asked.contains("if-none-match: *"), "{asked}");
        assert!(asked.contains("authorization: sharedkey devstoreaccount1:"), "{asked}");
    }
    let own = |url: &str| {
        let variables = [("AZURE_STORAGE_ACCOUNT", "mine"), ("AZURE_STORAGE_SAS_TOKEN", "sig=abc&sp=r")];
        let variables = variables.map(|(name, value)| (name, value.to_owned()));
        [variables.to_vec(), vec![emulator.clone(), ("AZURITE_BLOB_STORAGE_URL", url.to_owned())]].concat()
    };
    let asked_own = asked("az://floe/p", own).await;
    assert!(asked_own.starts_with("put /mine/floe/p/ns/a?sig=abc&sp=r "), "{asked_own}");
    let in_one = |url: &str| {
        let text = format!("BlobEndpoint={url}/mine;SharedAccessSignature=sig=abc&sp=r");
        vec![("AZURE_STORAGE_CONNECTION_STRING", text), emulator.clone()]
    };
    assert!(asked("az://floe/p", in_one).await.starts_with("put /mine/floe/p/ns/a?sig=abc&sp=r "));
}

#[test]
fn plain_http_is_for_emulators() {
    let account = [("AZURE_STORAGE_ACCOUNT", "account"), ("AZURE_STORAGE_KEY", "aGlkZGVu")];
    let azure = [account[0], account[1], ("AZURE_STORAGE_ENDPOINT", "http://storage:1/account")];
    let emulator = ("AZURE_STORAGE_USE_EMULATOR", "true");
    let string = |text| ("AZURE_STORAGE_CONNECTION_STRING", text);
    for (location, variables, refused) in [
        ("gs://bucket", &[("GOOGLE_BASE_URL", "http://storage:1")][..], Some("STORAGE_EMULATOR_HOST")),
        ("gs://bucket", &[("GOOGLE_BASE_URL", "http://127.0.0.1:1")], None),
        ("gs://bucket", &[("STORAGE_EMULATOR_HOST", "storage:1")], None),
        ("gs://bucket", &[("STORAGE_EMULATOR_HOST", "ftp://storage")], Some("not a URL")),
        ("az://container", &azure, Some("AZURE_STORAGE_USE_EMULATOR=1")),
        ("az://container", &[azure[0], azure[1], azure[2], emulator], None),
        ("az://container", &[emulator], None),
        ("az://container", &[emulator, ("AZURE_STORAGE_ENDPOINT", "storage")], Some("not a URL")),
        ("az://container", &account, None),
        ("az://container", &[string("AccountName=a;AccountKey=aGlkZGVu")], None),
        (
            "az://container",
            &[string("BlobEndpoint=http://storage:1/a;AccountKey=aGlkZGVu")],
            Some("plain HTTP"),
        ),
        ("az://container", &[string("UseDevelopmentStorage=true")], None),
        ("az://container", &[string("AccountName")], Some("not NAME=VALUE")),
    ] {
        match (opened(location, variables), refused) {
            (Ok(_), None) => {}
            (Err(e), Some(word)) => {
                assert_eq!(e.kind(), ErrorKind::Invalid, "{e}");
                assert!(e.to_string().contains(word), "{e}");
            }
            (answer, _) => panic!("{variables:?}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn servers_that_ignore_conditions_are_found_out() {
    let headers = ["ETag: \"e\"", "x-goog-generation: 7", "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT"];
    let server = CannedServer::start("201 Created", &headers, "").await.unwrap();
    for (location, environment) in environments(server.endpoint()) {
        let store = open(location, &once(), &environment).unwrap();
        let probed = probe_conditions(&*store, &KeyPrefix::new("ns/probe/").unwrap(), "t0").await;
        let error = probed.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("created an object that exists already"), "{error}");
    }
}

#[tokio::test]
async fn answers_become_kinds() {
    let body = |code: &str| format!("<Error><Code>{code}</Code><Message>AKSECRET</Message></Error>");
    for (status, code, kind) in [
        ("412 Precondition Failed", "ConditionNotMet", ErrorKind::Conflict),
        ("409 Conflict", "BlobAlreadyExists", ErrorKind::Conflict),
        ("412 Precondition Failed", "LeaseIdMissing", ErrorKind::Denied),
        ("409 Conflict", "BlobImmutableDueToPolicy", ErrorKind::Denied),
        ("409 Conflict", "ContainerBeingDeleted", ErrorKind::Invalid),
        ("404 Not Found", "ContainerNotFound", ErrorKind::Invalid),
        ("404 Not Found", "NoSuchBucket", ErrorKind::Invalid),
        ("401 Unauthorized", "InvalidAuthenticationInfo", ErrorKind::Denied),
        ("403 Forbidden", "AuthenticationFailed", ErrorKind::Denied),
        ("429 Too Many Requests", "SlowDown", ErrorKind::Unavailable),
        ("503 Server Busy", "ServerBusy", ErrorKind::Unavailable),
        ("500 Internal Server Error", "OperationTimedOut", ErrorKind::Unavailable),
        ("400 Bad Request", "InvalidBlobOrBlock", ErrorKind::Invalid),
    ] {
        let server = CannedServer::start(status, &[], &body(code)).await.unwrap();
        for (location, environment) in environments(server.endpoint()) {
            let store = open(location, &once(), &environment).unwrap();
            let swap = PutMode::Swap(Version::new("7"));
            let error = store.put(&key("ns/a"), Bytes::from_static(b"x"), swap).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{status} {code}: {error}");
            assert!(!format!("{error:?}").contains("AKSECRET"), "{error:?}");
        }
    }
}

/// Uploads that are not under way, as each cloud says it.
#[tokio::test]
async fn forgotten_uploads_are_not_found() {
    for (at, status, code) in
        [(0, "404 Not Found", "NoSuchUpload"), (1, "400 Bad Request", "InvalidBlockList")]
    {
        let body = format!("<Error><Code>{code}</Code></Error>");
        let server = CannedServer::start(status, &[], &body).await.unwrap();
        let (location, environment) = environments(server.endpoint())[at].clone();
        let store = open(location, &once(), &environment).unwrap();
        let tags = vec![PartTag::new("00")];
        let finished = store.finish_parts(&key("ns/a"), &PartsId::new("u"), tags).await;
        assert_eq!(finished.unwrap_err().kind(), ErrorKind::NotFound, "{status} {code}");
    }
}

/// Azure's client deletes in batches of one, whose answers are inside the answer.
#[tokio::test]
async fn deletions_in_azure_fail_as_others_do() {
    for (status, kind) in [
        ("202 Accepted", None),
        ("404 The specified blob does not exist.", None),
        ("403 This request is not authorized to perform this operation.", Some(ErrorKind::Denied)),
        ("503 The server is busy.", Some(ErrorKind::Unavailable)),
        ("409 There is (code: 503) a lease", Some(ErrorKind::Invalid)),
    ] {
        let body = format!(
            "--b\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\nHTTP/1.1 {status}\r\nx-ms-version: 1\r\n\r\n\r\n--b--\r\n"
        );
        let headers = ["Content-Type: multipart/mixed; boundary=b"];
        let server = CannedServer::start("202 Accepted", &headers, &body).await.unwrap();
        let [_, (location, environment)] = environments(server.endpoint());
        let store = open(location, &once(), &environment).unwrap();
        let deleted = store.delete(&key("ns/a")).await;
        assert_eq!(deleted.as_ref().err().map(Error::kind), kind, "{status}: {deleted:?}");
    }
}

/// Azure's client leaves out of a listing what is called like the prefix.
#[tokio::test]
async fn a_listing_in_azure_has_what_is_called_like_its_prefix() {
    let blobs: String = ["p/ns/a", "p/ns/ab", "p/ns/b"].into_iter().map(|name| {
        let properties = "<Last-Modified>Wed, 21 Oct 2015 07:28:00 GMT</Last-Modified><Content-Length>3</Content-Length>\
                          <Content-Type>x</Content-Type><Etag>e</Etag>";
        format!("<Blob><Name>{name}</Name><Properties>{properties}</Properties></Blob>")
    }).collect();
    let body = format!("<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>");
    let server = CannedServer::start("200 OK", &[], &body).await.unwrap();
    let [_, (location, environment)] = environments(server.endpoint());
    let store = open(location, &once(), &environment).unwrap();
    let page = store.list(&KeyPrefix::new("ns/a").unwrap(), None).await.unwrap();
    let names: Vec<_> = page.entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(names, ["ns/a", "ns/ab"]);
}

#[test]
fn what_is_known_of_one_server_is_not_believed_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let known = |location: &str, variables: &[(&str, &str)]| {
        let environment = variables.iter().copied().collect();
        let known = conditions_of(location, &environment, dir.path()).unwrap();
        format!("{known:?}")
    };
    let emulator = ("AZURE_STORAGE_USE_EMULATOR", "1");
    let servers = [
        known("gs://b", &[]),
        known("gs://b", &[("STORAGE_EMULATOR_HOST", "http://one")]),
        known("gs://b", &[("GOOGLE_BASE_URL", "https://one")]),
        known("az://b", &[("AZURE_STORAGE_ACCOUNT", "a")]),
        known("az://b", &[("AZURE_STORAGE_ACCOUNT", "b")]),
        known("az://b", &[("AZURE_STORAGE_ACCOUNT", "a"), ("AZURE_STORAGE_ENDPOINT", "https://one")]),
        known("az://b", &[emulator]),
        known("az://b", &[emulator, ("AZURITE_BLOB_STORAGE_URL", "http://one")]),
    ];
    let distinct: BTreeSet<_> = servers.iter().collect();
    assert_eq!(distinct.len(), servers.len(), "{servers:#?}");
}
