//! Positions: a place in plain content and a place in a pack never share a type.

use std::fmt;

macro_rules! offset {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The very first position.
            pub const ZERO: Self = Self(0);

            /// The position this many bytes from the start.
            pub const fn new(bytes: u64) -> Self {
                Self(bytes)
            }

            /// Number of bytes from the start.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The position `len` bytes further on, if there is one.
            pub const fn checked_add(self, len: u64) -> Option<Self> {
                match self.0.checked_add(len) {
                    Some(bytes) => Some(Self(bytes)),
                    None => None,
                }
            }

            /// Number of bytes from `earlier` to here, unless `earlier` is the later one.
            pub const fn checked_distance(self, earlier: Self) -> Option<u64> {
                self.0.checked_sub(earlier.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

offset!(
    /// A position in plain content: in a canonical tar, a file or an image.
    LogicalOffset
);
offset!(
    /// A position in a pack.
    StoredOffset
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_checked() {
        let offset = StoredOffset::new(40);
        assert_eq!(offset.checked_add(2), Some(StoredOffset::new(42)));
        assert_eq!(offset.checked_add(u64::MAX - 39), None);
        assert_eq!(LogicalOffset::new(5).checked_distance(LogicalOffset::new(2)), Some(3));
        assert_eq!(LogicalOffset::ZERO.checked_distance(LogicalOffset::new(1)), None);
        assert_eq!(offset.to_string(), "40");
    }
}
