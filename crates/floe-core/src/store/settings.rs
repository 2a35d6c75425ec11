//! Settings of stores.

use serde::{Deserialize, Serialize};

use super::RetrySettings;

/// How a store is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// How many requests may be in flight at once.
    pub max_requests: usize,
    /// The most bytes sent in a second, on average.
    pub upload_bytes_per_second: Option<u64>,
    /// The most bytes received in a second, on average.
    pub download_bytes_per_second: Option<u64>,
    /// How requests to remote stores are repeated.
    pub retry: RetrySettings,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            max_requests: 32,
            upload_bytes_per_second: None,
            download_bytes_per_second: None,
            retry: RetrySettings::default(),
        }
    }
}

/// Durations as numbers of seconds.
pub(super) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(time.as_secs_f64())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(de::Error::custom)
    }
}
