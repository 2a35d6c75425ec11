//! How much there is to push.

use floe_core::source::Exclusions;
use floe_core::{ErrorKind, PushOptions, directory_bytes};
use tokio_util::sync::CancellationToken;

use super::{Bench, fill};

#[tokio::test(flavor = "multi_thread")]
async fn as_much_as_is_pushed_then() {
    let bench = Bench::new().await;
    fill(&bench.source());
    for globs in [vec![], vec!["d1".to_owned()]] {
        let options =
            PushOptions { exclusions: Exclusions { globs, ..Exclusions::default() }, ..bench.options() };
        let measured = directory_bytes(&bench.source(), &options.exclusions, &options.cancel).await.unwrap();
        assert_eq!(measured, bench.push_with(&options).await.unwrap().file_bytes);
    }
    let cancel = CancellationToken::new();
    cancel.cancel();
    let stopped = directory_bytes(&bench.source(), &Exclusions::default(), &cancel).await;
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
}
