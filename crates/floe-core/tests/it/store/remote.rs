//! Remote stores: a server in this process, real ones where there are, and answers that servers rarely give.

use std::sync::Arc;

use bytes::Bytes;
use floe_core::ErrorKind;
use floe_core::store::{Environment, KeyPrefix, PutMode, StoreSettings, Version, open, probe_conditions};
use floe_testkit::conformance::{self, KnownGap};
use floe_testkit::s3::environment;
use floe_testkit::{CannedServer, MemoryStore, S3Server};

use super::key;
use crate::s3_trees::Place;

fn once() -> StoreSettings {
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
#[ignore = "needs a server: `.ci/run s3`"]
async fn s3_server_conforms() {
    let place = Place::of_environment();
    let store = place.store();
    probe_conditions(&*store, &KeyPrefix::new("ns/probe/").unwrap(), "5d41402a").await.unwrap();
    conformance::run(store, "ns", &[KnownGap::LongNames]).await;
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
    ] {
        let server = CannedServer::start(status, &[], &body(code)).await.unwrap();
        let store = open("s3://floe", &once(), &environment(server.endpoint(), "AK", "SK")).unwrap();
        let swap = PutMode::Swap(Version::new("\"e\""));
        let error = store.put(&key("ns/a"), Bytes::from_static(b"x"), swap).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}: {error}");
        assert!(!format!("{error:?}").contains("AKSECRET"), "{error:?}");
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
