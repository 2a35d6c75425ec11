//! Stores in S3 as users meet them: what fails, how that is told, and how races end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use assert_cmd::Command;
use floe_testkit::{Asked, Gate, S3Server, wait_until_trusted};
use tokio::sync::Notify;

use crate::environment::{User, stdout};
use crate::report::report;

/// Where a user's store is, and with what keys.
#[derive(Clone)]
struct Access {
    endpoint: String,
    location: String,
    key: String,
    secret: String,
}

impl Access {
    fn to(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            location: format!("s3://{}/trees", S3Server::BUCKET),
            key: S3Server::ACCESS_KEY.to_owned(),
            secret: S3Server::SECRET_KEY.to_owned(),
        }
    }
}

impl User {
    /// A user whose requests are repeated at once.
    pub(crate) fn hasty() -> Self {
        let user = Self::new();
        std::fs::create_dir_all(user.path(".config/floe")).unwrap();
        let settings =
            "[transfer.retry]\ntries = 5\nfirst_pause_seconds = 0.001\nlongest_pause_seconds = 0.01\n";
        std::fs::write(user.path(".config/floe/config.toml"), settings).unwrap();
        user
    }

    fn in_s3(&self, access: &Access, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command
            .env("FLOE_STORE", &access.location)
            .env("FLOE_S3_ENDPOINT", &access.endpoint)
            .env("FLOE_S3_ALLOW_HTTP", "1")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", &access.key)
            .env("AWS_SECRET_ACCESS_KEY", &access.secret);
        command
    }

    /// Runs a command that fails with exit code 1; what it told, which holds no secret and says what to do.
    fn fails_in_s3(&self, access: &Access, arguments: &[&str]) -> String {
        let failed = self.in_s3(access, arguments).assert().code(1).stdout("");
        let told = self.stderr(&failed);
        assert!(!told.contains(&access.secret) && !told.contains(&access.key), "{told}");
        assert!(told.starts_with("error: ") && told.trim_end().ends_with('.'), "{told}");
        told
    }
}

pub(crate) fn asserts_all(told: &str, words: &[&str]) {
    for word in words {
        assert!(told.contains(word), "no {word:?} in: {told}");
    }
}

fn is_write(asked: &Asked) -> bool {
    !matches!(asked.operation.as_str(), "GetObject" | "HeadObject" | "ListObjectsV2")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_keys_and_buckets_say_what_to_correct() {
    let user = User::hasty();
    let tree = user.tree("tree");
    let server = S3Server::start().await.unwrap();
    let right = Access::to(server.endpoint());
    let secret = Access { secret: "another-secret".into(), ..right.clone() };
    let key = Access { key: "ANOTHERKEY".into(), ..right.clone() };
    let bucket = Access { location: "s3://no-such-bucket/x".into(), ..right };
    for arguments in [&["push", &tree, "main"][..], &["ls"], &["pull", "main", "there"]] {
        let told = user.fails_in_s3(&secret, arguments);
        asserts_all(&told, &["403 SignatureDoesNotMatch", "the secret key is not", "credentials"]);
        asserts_all(&user.fails_in_s3(&key, arguments), &["403", "credentials"]);
        // This server makes a bucket that is written to.
        if arguments[0] != "push" {
            asserts_all(&user.fails_in_s3(&bucket, arguments), &["no-such-bucket"]);
        }
    }
    assert!(!user.path("there").exists());
}

/// By operation, as the server counts them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_push_makes_few_requests() {
    let user = User::new();
    let tree = user.tree("tree");
    let asked = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
    let seen = Arc::clone(&asked);
    let gate = Gate::at_once(move |asked| {
        *seen.lock().unwrap().entry(asked.operation.clone()).or_default() += 1;
        None
    });
    let server = S3Server::start_behind(gate).await.unwrap();
    let access = Access::to(server.endpoint());
    user.in_s3(&access, &["push", &tree, "main"]).assert().code(0);
    let second = |content: &str, options: &[&str]| {
        std::fs::write(user.path("tree/README.md"), content).unwrap();
        wait_until_trusted(user.home());
        asked.lock().unwrap().clear();
        let arguments = [&["push", &tree, "main", "--json"], options].concat();
        let pushed = user.in_s3(&access, &arguments).assert().code(0);
        let told = report("push", &pushed.get_output().stdout);
        let asked = asked.lock().unwrap().clone();
        assert_eq!(told["request_count"], asked.values().sum::<usize>(), "{asked:?}");
        asked
    };
    let counted = |list: &[(&str, usize)]| list.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
    let warm: BTreeMap<_, _> = counted(&[("GetObject", 3), ("PutObject", 5), ("DeleteObject", 1)]);
    assert_eq!(second("# Two\n", &[]), warm);
    // Also the base's snapshot object, the tails of its two packs, and two puts that show whether conditions are kept.
    let cold: BTreeMap<_, _> = counted(&[("GetObject", 6), ("PutObject", 7), ("DeleteObject", 1)]);
    assert_eq!(second("# Three\n", &["--cache-dir", "elsewhere"]), cold);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_credentials_are_called_so() {
    let user = User::hasty();
    let tree = user.tree("tree");
    let server = S3Server::start_behind(Gate::at_once(|_| Some("ExpiredToken"))).await.unwrap();
    let access = Access::to(server.endpoint());
    for arguments in [&["push", &tree, "main"][..], &["ls"]] {
        let told = user.fails_in_s3(&access, arguments);
        asserts_all(&told, &["400 ExpiredToken", "the credentials have expired", "Check the permissions or"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_only_read_reads_and_is_told_of_the_rest() {
    let user = User::hasty();
    let tree = user.tree("tree");
    let read_only = Arc::new(AtomicBool::new(false));
    let locked = Arc::clone(&read_only);
    let gate = Gate::at_once(move |asked| {
        (locked.load(Ordering::SeqCst) && is_write(asked)).then_some("AccessDenied")
    });
    let server = S3Server::start_behind(gate).await.unwrap();
    let access = Access::to(server.endpoint());
    user.in_s3(&access, &["push", &tree, "main"]).assert().code(0);
    read_only.store(true, Ordering::SeqCst);
    std::fs::write(user.path("tree/README.md"), "# Another\n").unwrap();
    for arguments in [&["push", &tree, "main"][..], &["tag", "main", "other"], &["rm", "main"]] {
        let told = user.fails_in_s3(&access, arguments);
        asserts_all(&told, &["default/leases/", "403 AccessDenied", "these credentials may not do that"]);
    }
    user.in_s3(&access, &["pull", "main", "there"]).assert().code(0);
    assert_eq!(std::fs::read_to_string(user.path("there/README.md")).unwrap(), "# A tree\n");
    assert_eq!(stdout(&user.in_s3(&access, &["ls", "main"]).assert().code(0)).lines().count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_at_the_endpoint() {
    let user = User::hasty();
    let tree = user.tree("tree");
    let endpoint = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let told = user.fails_in_s3(&Access::to(&endpoint), &["push", &tree, "main"]);
    asserts_all(&told, &["no answer", "refused", "Check the store's location and the way to it"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_too_much_to_do_is_waited_for() {
    let user = User::hasty();
    let tree = user.tree("tree");
    // Each request is turned away twice.
    let seen = Mutex::new(std::collections::BTreeMap::<String, usize>::new());
    let turned_away = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turned_away);
    let gate = Gate::at_once(move |asked| {
        let mut seen = seen.lock().unwrap();
        let times = seen.entry(format!("{asked:?}")).or_default();
        *times += 1;
        (*times <= 2).then(|| {
            counted.fetch_add(1, Ordering::SeqCst);
            "SlowDown"
        })
    });
    let server = S3Server::start_behind(gate).await.unwrap();
    let access = Access::to(server.endpoint());
    user.in_s3(&access, &["push", &tree, "main"]).assert().code(0);
    user.in_s3(&access, &["pull", "main", "there"]).assert().code(0);
    assert_eq!(std::fs::read(user.path("there/src/deep/data")).unwrap(), vec![7; 100_000]);
    assert!(turned_away.load(Ordering::SeqCst) > 20);

    let server = S3Server::start_behind(Gate::at_once(|_| Some("SlowDown"))).await.unwrap();
    let told = user.fails_in_s3(&Access::to(server.endpoint()), &["push", &tree, "main"]);
    asserts_all(&told, &["503 SlowDown", "too much to do", "run the command again"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ignores_conditions_is_refused() {
    let user = User::hasty();
    let tree = user.tree("tree");
    let heedless = Arc::new(AtomicBool::new(true));
    let gate = Gate::ignoring_conditions(Arc::clone(&heedless));
    let server = S3Server::start_behind(gate).await.unwrap();
    let access = Access::to(server.endpoint());
    let words = ["cannot be written to safely", "it ignores `If-None-Match: *`", "a store that can do it"];
    asserts_all(&user.fails_in_s3(&access, &["push", &tree, "main"]), &words);
    // A namespace that was made while the server was another one, by somebody else's machine.
    heedless.store(false, Ordering::SeqCst);
    let elsewhere = ["push", &tree, "main", "--cache-dir", "elsewhere"];
    user.in_s3(&access, &elsewhere).assert().code(0);
    heedless.store(true, Ordering::SeqCst);
    for arguments in [&["push", &tree, "main"][..], &["tag", "main", "other"], &["rm", "main"]] {
        asserts_all(&user.fails_in_s3(&access, arguments), &words);
    }
    user.in_s3(&access, &["ls", "main"]).assert().code(0);
}

/// i5: an interrupted push leaves nothing behind, not even what no listing shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i5_an_interrupted_push_gives_up_its_uploads() {
    let user = User::hasty();
    std::fs::create_dir(user.path("big")).unwrap();
    for number in 0..4_u64 {
        std::fs::write(user.path("big").join(number.to_string()), floe_testkit::bytes_of(number, 8 << 20))
            .unwrap();
    }
    let asked = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
    let (counts, sent) = (Arc::clone(&asked), Arc::new(Notify::new()));
    let sends = Arc::clone(&sent);
    let gate = Gate::at_once(move |asked| {
        *counts.lock().unwrap().entry(asked.operation.clone()).or_default() += 1;
        if asked.operation == "UploadPart" {
            sends.notify_one();
        }
        None
    });
    let server = S3Server::start_behind(gate).await.unwrap();
    let access = Access::to(server.endpoint());
    let command = user.in_s3(&access, &["push", "big", "main", "--limit-upload", "1MiB"]);
    let mut push = std::process::Command::new(command.get_program());
    push.args(command.get_args()).current_dir(user.home()).env_clear().stderr(std::process::Stdio::piped());
    push.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let push = push.spawn().unwrap();
    sent.notified().await;
    let pid = rustix::process::Pid::from_child(&push);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = tokio::task::spawn_blocking(move || push.wait_with_output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{told}");
    assert!(told.contains("interrupted"), "{told}");
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.get("CreateMultipartUpload"), asked.get("AbortMultipartUpload"), "{asked:?}");
    assert!(asked.contains_key("CreateMultipartUpload"), "{asked:?}");
}

/// i2: a ref moves only by compare-and-swap; a lost race is reported, never overwritten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i2_a_lost_race_exits_with_4() {
    let user = User::hasty();
    let (first, second) = (user.tree("first"), user.tree("second"));
    std::fs::write(user.path("second/more"), "more").unwrap();
    // The first to move the ref waits there until the other has.
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (arrives, waits) = (Arc::clone(&arrived), Arc::clone(&go_on));
    let writes = AtomicUsize::new(0);
    let gate = Gate::new(move |asked| {
        let is_first = asked.operation == "PutObject"
            && asked.key.ends_with("/refs/main")
            && writes.fetch_add(1, Ordering::SeqCst) == 0;
        let (arrives, waits) = (Arc::clone(&arrives), Arc::clone(&waits));
        Box::pin(async move {
            if is_first {
                arrives.notify_one();
                waits.notified().await;
            }
            None
        })
    });
    let server = S3Server::start_behind(gate).await.unwrap();
    let access = Access::to(server.endpoint());
    let mut slow = user.in_s3(&access, &["push", &first, "main"]);
    let slow = tokio::task::spawn_blocking(move || slow.assert());
    arrived.notified().await;
    let quick = user.in_s3(&access, &["push", &second, "main"]).assert().code(0);
    go_on.notify_one();
    let lost = slow.await.unwrap().code(4).stdout("");
    asserts_all(&user.stderr(&lost), &["the ref `main` was moved by somebody else", "floe log"]);
    let now = stdout(&user.in_s3(&access, &["show", "main", "--json"]).assert().code(0));
    let snapshot = stdout(&quick).split_whitespace().nth(1).unwrap().to_owned();
    asserts_all(&now, &[&snapshot, "\"generation\":1"]);
}
