//! Time and randomness, handed in so that a simulation can own them.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use floe_format::{LayoutId, LeaseId, NamespaceId, PackId, Token};
use jiff::Timestamp;

/// Tells the time of day.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present moment.
    fn now(&self) -> SystemTime;
}

/// Gives random bytes that nobody can guess.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// Fills `bytes` with random ones.
    fn fill(&self, bytes: &mut [u8]);
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the time is taken")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// The operating system's random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where randomness that nobody can guess is taken"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        rand::fill(bytes);
    }
}

/// A clock and a source of randomness together.
#[derive(Clone, Debug)]
pub struct Ambient {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Default for Ambient {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock), Arc::new(SystemEntropy))
    }
}

impl Ambient {
    /// These two together.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock, entropy }
    }

    /// The present moment.
    pub fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// The present moment, to the microsecond.
    pub fn timestamp(&self) -> Timestamp {
        let now = Timestamp::try_from(self.clock.now()).unwrap_or(Timestamp::UNIX_EPOCH);
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    /// Random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }

    /// A new token.
    pub fn token(&self) -> Token {
        Token::from_bytes(self.random())
    }

    /// A new pack id.
    pub fn pack_id(&self) -> PackId {
        PackId::new(self.unix_milliseconds(), self.random())
    }

    /// A new lease id.
    pub fn lease_id(&self) -> LeaseId {
        LeaseId::new(self.unix_milliseconds(), self.random())
    }

    /// A new layout id.
    pub fn layout_id(&self) -> LayoutId {
        LayoutId::from_bytes(self.random())
    }

    /// A new namespace id.
    pub fn namespace_id(&self) -> NamespaceId {
        NamespaceId::from_bytes(self.random())
    }

    fn unix_milliseconds(&self) -> u64 {
        self.timestamp().as_millisecond().try_into().unwrap_or(0)
    }
}
