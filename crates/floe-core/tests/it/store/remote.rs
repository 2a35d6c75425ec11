//! Remote stores: a server in this process, real ones where there are, and answers that servers rarely give.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floe_core::store::{
    self, Environment, KeyPrefix, PutMode, Store, StoreSettings, Version, probe_conditions,
};
use floe_core::{Ambient, ErrorKind, Result};
use floe_testkit::conformance::{self, KnownGap};
use floe_testkit::s3::environment;
use floe_testkit::{CannedServer, MemoryStore, S3Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::key;
use crate::remote_trees::Place;

pub(super) fn open(
    location: &str,
    settings: &StoreSettings,
    environment: &Environment,
) -> Result<Arc<dyn Store>> {
    store::open(location, settings, environment, &Ambient::default())
}

pub(super) fn once() -> StoreSettings {
    let mut settings = StoreSettings::default();
    settings.retry.tries = 1;
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s3_in_process_conforms() {
    let server = S3Server::start().await.unwrap();
    let store = open("s3://floe/a/prefix", &once(), &server.environment()).unwrap();
    conformance::run(
        Arc::clone(&store),
        "ns",
        &[KnownGap::Races, KnownGap::LongNames, KnownGap::Directories, KnownGap::ForgottenUploads],
    )
    .await;
    probe_conditions(&*store, &KeyPrefix::new("ns/probe/").unwrap(), "5d41402a").await.unwrap();

    // A prefix shows nothing of its neighbours.
    let other = open("s3://floe/a", &once(), &server.environment()).unwrap();
    assert_eq!(other.head(&key("ns/refs/none")).await.unwrap(), None);
    let sibling = open("s3://floe/a/pre", &once(), &server.environment()).unwrap();
    assert!(sibling.list(&KeyPrefix::default(), None).await.unwrap().entries.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs a server: `.ci/run stores`"]
async fn store_server_conforms() {
    let place = Place::of_environment();
    let store = place.store();
    probe_conditions(&*store, &KeyPrefix::new("ns/probe/").unwrap(), "5d41402a").await.unwrap();
    conformance::run(store, "ns", place.known_gaps()).await;
}

/// Keys, region and endpoint out of AWS's files, and what beats them.
#[tokio::test]
async fn aws_profiles_open_stores() {
    let server = S3Server::start().await.unwrap();
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let keys = |section: &str, secret: &str| {
        format!(
            "[{section}]\naws_access_key_id = {}\naws_secret_access_key = {secret}\n",
            S3Server::ACCESS_KEY
        )
    };
    let credentials = keys("default", S3Server::SECRET_KEY) + &keys("wrong", "another-secret");
    let at = |url: &str| format!("region = us-east-1\nendpoint_url = {url}\n");
    let nobody = "http://127.0.0.1:9";
    let config = format!(
        "[default]\n{}[profile wrong]\n{}[profile lost]\n{}",
        at(server.endpoint()),
        at(server.endpoint()),
        at(nobody)
    );
    std::fs::write(home.path().join(".aws/credentials"), credentials + &keys("lost", S3Server::SECRET_KEY))
        .unwrap();
    std::fs::write(home.path().join(".aws/config"), config).unwrap();
    let home = home.path().to_str().unwrap();
    let (id, secret) = (S3Server::ACCESS_KEY, S3Server::SECRET_KEY);
    let own_keys = [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)];
    let (wrong, lost) = (("AWS_PROFILE", "wrong"), ("AWS_PROFILE", "lost"));
    for (variables, kind) in [
        (vec![], None),
        (vec![wrong], Some(ErrorKind::Denied)),
        (vec![wrong, own_keys[0], own_keys[1]], None),
        (vec![lost], Some(ErrorKind::Unavailable)),
        (vec![lost, ("AWS_ENDPOINT_URL", server.endpoint())], None),
        (vec![("AWS_ENDPOINT_URL", nobody), ("FLOE_S3_ENDPOINT", server.endpoint())], None),
    ] {
        let always = [("HOME", home), ("FLOE_S3_ALLOW_HTTP", "1")];
        let environment: Environment = always.into_iter().chain(variables.iter().copied()).collect();
        let store = open("s3://floe", &once(), &environment).unwrap();
        let listed = store.list(&KeyPrefix::default(), None).await;
        assert_eq!(listed.err().map(|error| error.kind()), kind, "{variables:?}");
    }
}

#[tokio::test]
async fn wrong_keys_and_buckets_are_told_without_a_secret_in_sight() {
    let server = S3Server::start().await.unwrap();
    let wrong = environment(server.endpoint(), S3Server::ACCESS_KEY, "another-secret");
    let right = server.environment();
    for (location, environment, kind) in
        [("s3://floe", &wrong, ErrorKind::Denied), ("s3://no-such-bucket", &right, ErrorKind::Invalid)]
    {
        let store = open(location, &once(), environment).unwrap();
        let error = store.list(&KeyPrefix::default(), None).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{location}: {error}");
        let shown = format!("{error} {error:?} {store:?} {environment:?}");
        assert!(!shown.contains("another-secret") && !shown.contains(S3Server::ACCESS_KEY), "{shown}");
    }
}

#[tokio::test]
async fn answers_become_kinds_and_bodies_stay_out_of_messages() {
    let body = |code: &str| format!("<Error><Code>{code}</Code><Message>AKSECRET signed</Message></Error>");
    for (status, code, kind) in [
        ("409 Conflict", "ConditionalRequestConflict", ErrorKind::Unavailable),
        ("412 Precondition Failed", "PreconditionFailed", ErrorKind::Conflict),
        ("404 Not Found", "NoSuchKey", ErrorKind::Conflict),
        ("403 Forbidden", "AccessDenied", ErrorKind::Denied),
        ("401 Unauthorized", "Unauthorized", ErrorKind::Denied),
        ("429 Too Many Requests", "TooManyRequests", ErrorKind::Unavailable),
        ("500 Internal Server Error", "InternalError", ErrorKind::Unavailable),
        ("503 Slow Down", "SlowDown", ErrorKind::Unavailable),
        ("501 Not Implemented", "NotImplemented", ErrorKind::Unsupported),
        ("400 Bad Request", "EntityTooLarge", ErrorKind::Invalid),
        ("400 Bad Request", "AuthorizationHeaderMalformed", ErrorKind::Invalid),
        ("301 Moved Permanently", "PermanentRedirect", ErrorKind::Invalid),
    ] {
        let server = CannedServer::start(status, &[], &body(code)).await.unwrap();
        let store = open("s3://floe", &once(), &environment(server.endpoint(), "AK", "SK")).unwrap();
        let swap = PutMode::Swap(Version::new("\"e\""));
        let error = store.put(&key("ns/a"), Bytes::from_static(b"x"), swap).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}: {error}");
        assert!(!format!("{error:?}").contains("AKSECRET"), "{error:?}");
        let is_of_region = ["AuthorizationHeaderMalformed", "PermanentRedirect"].contains(&code);
        assert_eq!(error.to_string().contains("set AWS_REGION"), is_of_region, "{error}");
        assert!(error.to_string().starts_with("`ns/a` in s3://floe/: "), "{error}");
        assert_eq!(server.asked().len(), 1, "{status}: only the retry layer repeats");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let endpoint = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let store = open("s3://floe", &once(), &environment(&endpoint, "AK", "SK")).unwrap();
    let error = store.head(&key("ns/a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn answers_that_lie_about_ranges_are_refused() {
    let key = key("ns/packs/1");
    let whole = ["Content-Range: bytes 0-3/4", "ETag: \"e\"", "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT"];
    for (status, headers, kind) in [
        ("206 Partial Content", &whole[..], ErrorKind::Corrupt),
        ("200 OK", &whole[1..], ErrorKind::Internal),
        ("416 Range Not Satisfiable", &[][..], ErrorKind::Corrupt),
    ] {
        let server = CannedServer::start(status, headers, "abcd").await.unwrap();
        let store = open("s3://floe", &once(), &environment(server.endpoint(), "AK", "SK")).unwrap();
        let error = store.get_range(&key, 0..9).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}: {error}");
    }
    // It announces 4 of 4 and means all of them.
    let server = CannedServer::start("206 Partial Content", &whole, "abcd").await.unwrap();
    let store = open("s3://floe", &once(), &environment(server.endpoint(), "AK", "SK")).unwrap();
    assert_eq!(store.get_range(&key, 0..4).await.unwrap(), "abcd");
}

#[tokio::test]
async fn a_server_that_ignores_conditions_is_found_out() {
    let server = CannedServer::start("200 OK", &["ETag: \"always\""], "").await.unwrap();
    let store = open("s3://floe", &once(), &environment(server.endpoint(), "AK", "SK")).unwrap();
    let error = probe_conditions(&*store, &KeyPrefix::new("ns/probe/").unwrap(), "t0").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("it ignores `If-None-Match: *`"), "{error}");
    assert!(server.asked().last().unwrap().starts_with("DELETE /floe/ns/probe/t0 "), "it cleans up");

    let honest = MemoryStore::new();
    probe_conditions(&honest, &KeyPrefix::new("ns/probe/").unwrap(), "t0").await.unwrap();
    assert!(honest.objects().is_empty());
}

#[test]
fn locations_are_checked() {
    let kind = |location: &str, environment: &Environment| {
        open(location, &StoreSettings::default(), environment).map(drop).map_err(|e| e.kind())
    };
    let none = Environment::default();
    for good in ["file:///tmp/x", "/tmp/x", "relative/dir"] {
        assert_eq!(kind(good, &none), Ok(()), "{good}");
    }
    for bad in
        ["", "s3://", "s3://user:password@bucket", "s3://bucket/a?b", "s3://bucket/a//b", "file://host/x"]
    {
        assert_eq!(kind(bad, &none), Err(ErrorKind::Invalid), "{bad}");
    }
    for unknown in ["http://host/x", "https://host", "ftp://x"] {
        assert_eq!(kind(unknown, &none), Err(ErrorKind::Unsupported), "{unknown}");
    }
    // Plain HTTP is for those who ask for it, in our words.
    let plain = [("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_ALLOW_HTTP", "true")];
    assert_eq!(kind("s3://bucket", &plain.into_iter().collect()), Err(ErrorKind::Invalid));
    let asked = plain.into_iter().chain([("FLOE_S3_ALLOW_HTTP", "1")]);
    assert_eq!(kind("s3://bucket", &asked.collect()), Ok(()));
    let google = [("GOOGLE_BASE_URL", "http://127.0.0.1:1"), ("GOOGLE_SKIP_SIGNATURE", "true")];
    assert_eq!(kind("gs://bucket/p", &google.into_iter().collect()), Ok(()));
    let azure = [("AZURE_STORAGE_ACCOUNT_NAME", "account"), ("AZURE_STORAGE_USE_EMULATOR", "true")];
    assert_eq!(kind("az://container/p", &azure.into_iter().collect()), Ok(()));
}

/// However large the object may be, and so however long it may take.
#[tokio::test]
async fn a_server_that_stalls_is_not_waited_for() {
    let headers = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nETag: \"x\"\r\nLast-Modified: Fri, 02 Jan 2026 03:04:05 GMT\r\n\r\n";
    for answer in [String::new(), headers.to_owned(), format!("{headers}ten bytes!")] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // A request without a body comes at once.
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        });
        let mut settings = once();
        settings.retry.deadline = Duration::from_millis(500);
        let store = open("s3://floe", &settings, &environment(&endpoint, "key", "secret")).unwrap();
        let key = key("gc/state");
        let get = tokio::time::timeout(Duration::from_secs(60), store.get(&key, 64 << 20));
        let error = get.await.expect("it does not wait").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("nothing came of `gc/state`"), "{error}");
        serving.abort();
    }
}
