//! The parameters of a namespace, which every root repeats.

use crate::wire::WireReader;
use crate::{Error, Result};

/// How a tree is cut into frames. All are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parameters {
    /// A group of entries does not end by its hash before it has this many tar bytes.
    pub group_min: u32,
    /// A group of over one entry has at most this many tar bytes, and at most as much metadata.
    pub group_max: u32,
    /// A file over this size is cut into chunks of its own.
    pub small_max: u32,
    /// A chunk does not end by its content before this length.
    pub chunk_min: u32,
    /// From this length on a chunk ends more easily; a power of two.
    pub chunk_avg: u32,
    /// The longest chunk.
    pub chunk_max: u32,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            group_min: 32 << 10,
            group_max: 192 << 10,
            small_max: 64 << 10,
            chunk_min: 64 << 10,
            chunk_avg: 256 << 10,
            chunk_max: 1 << 20,
        }
    }
}

impl Parameters {
    /// Whether a file of this size is cut into chunks of its own.
    #[inline]
    pub fn is_big(&self, size: u64) -> bool {
        size > u64::from(self.small_max)
    }

    /// Checks the bounds of `docs/format.md` §8.
    ///
    /// # Errors
    /// `Invalid` for parameters out of those bounds.
    pub fn validate(&self) -> Result<()> {
        self.check().map_err(Error::invalid)
    }

    fn check(&self) -> Result<(), &'static str> {
        const MAX_GROUP: u32 = 512 << 10;
        if !(512..=self.group_max).contains(&self.group_min) || self.group_max > MAX_GROUP {
            return Err("group_min and group_max are not in order from 512 bytes to 512 KiB");
        }
        if self.small_max > MAX_GROUP {
            return Err("small_max is over 512 KiB");
        }
        if self.chunk_min <= 64 || self.chunk_min > self.chunk_avg || self.chunk_avg > self.chunk_max {
            return Err("chunk_min, chunk_avg and chunk_max are not in order from 65 bytes on");
        }
        if self.chunk_max > 1 << 20 {
            return Err("chunk_max is over 1 MiB");
        }
        if !self.chunk_avg.is_power_of_two() {
            return Err("chunk_avg is not a power of two");
        }
        Ok(())
    }

    pub(crate) fn read(reader: &mut WireReader<'_>) -> Result<Self> {
        let parameters = Self {
            group_min: reader.u32()?,
            group_max: reader.u32()?,
            small_max: reader.u32()?,
            chunk_min: reader.u32()?,
            chunk_avg: reader.u32()?,
            chunk_max: reader.u32()?,
        };
        parameters.check().map_err(|what| reader.corrupt(what))?;
        Ok(parameters)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for parameter in
            [self.group_min, self.group_max, self.small_max, self.chunk_min, self.chunk_avg, self.chunk_max]
        {
            out.extend_from_slice(&parameter.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        let good = Parameters::default();
        good.validate().unwrap();
        let tiny = Parameters {
            group_min: 512,
            group_max: 512,
            small_max: 0,
            chunk_min: 65,
            chunk_avg: 128,
            chunk_max: 128,
        };
        tiny.validate().unwrap();
        for bad in [
            Parameters { group_min: 511, ..good },
            Parameters { group_min: good.group_max + 1, ..good },
            Parameters { group_max: (512 << 10) + 1, ..good },
            Parameters { small_max: (512 << 10) + 1, ..good },
            Parameters { chunk_min: 64, ..good },
            Parameters { chunk_min: good.chunk_avg + 1, ..good },
            Parameters { chunk_avg: good.chunk_avg + 1, ..good },
            Parameters { chunk_max: good.chunk_avg - 1, ..good },
            Parameters { chunk_max: (1 << 20) + 1, ..good },
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
            let mut bytes = Vec::new();
            bad.write(&mut bytes);
            assert!(Parameters::read(&mut WireReader::new("test", &bytes)).is_err());
        }
    }
}
