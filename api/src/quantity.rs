//! Kubernetes resource quantities: `100m`, `1.5Gi`, `12e6`.
//!
//! A quantity is held exactly as a whole number of nanos (10⁻⁹), the finest that Kubernetes keeps; what is finer is rounded
//! up, as Kubernetes does.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// How a quantity was written, and so how it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `k`, `M`, `G`, …: powers of 1000, and `n`, `u`, `m` below one.
    #[default]
    DecimalSi,
    /// `Ki`, `Mi`, `Gi`, …: powers of 1024.
    BinarySi,
    /// `12e6`.
    DecimalExponent,
}

/// An exact amount. Ordered by amount; the format plays no part in comparison.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// A text that is not a quantity. Show it to whoever wrote the text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuantityError {
    /// Not of the form `<number><suffix>`.
    #[error(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Form,
    /// The number is right and the suffix is not.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

const NANOS: i128 = 1_000_000_000;
/// Kubernetes caps an amount at 2^63-1; so do we.
const MAX_NANOS: i128 = (i64::MAX as i128) * NANOS;

const BINARY: [(&str, u32); 6] = [
    ("Ki", 10),
    ("Mi", 20),
    ("Gi", 30),
    ("Ti", 40),
    ("Pi", 50),
    ("Ei", 60),
];
const DECIMAL: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];

impl Quantity {
    /// A whole amount, shown in decimal units.
    pub fn from_units(units: i64) -> Self {
        Self {
            nanos: i128::from(units) * NANOS,
            format: Format::DecimalSi,
        }
    }

    /// An amount in thousandths, e.g. of a CPU.
    pub fn from_millis(millis: i64) -> Self {
        Self {
            nanos: i128::from(millis) * 1_000_000,
            format: Format::DecimalSi,
        }
    }

    /// An amount in thousand millionths, e.g. of a CPU.
    pub fn from_nanos(nanos: i64) -> Self {
        Self {
            nanos: i128::from(nanos),
            format: Format::DecimalSi,
        }
    }

    /// An amount of bytes, shown in binary units.
    pub fn from_bytes(bytes: i64) -> Self {
        Self {
            nanos: i128::from(bytes) * NANOS,
            format: Format::BinarySi,
        }
    }

    /// The amount, rounded up to a whole number.
    pub fn units(&self) -> i64 {
        i64::try_from(div_ceil(self.nanos, NANOS)).unwrap_or(if self.nanos < 0 {
            i64::MIN
        } else {
            i64::MAX
        })
    }

    /// The amount in thousandths, rounded up.
    pub fn millis(&self) -> i64 {
        i64::try_from(div_ceil(self.nanos, 1_000_000)).unwrap_or(if self.nanos < 0 {
            i64::MIN
        } else {
            i64::MAX
        })
    }

    /// The amount as a floating-point number, for ratios and metrics.
    pub fn as_f64(&self) -> f64 {
        self.nanos as f64 / NANOS as f64
    }

    /// True for nothing.
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// True below nothing.
    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    /// True when the amount is a whole number of units.
    pub fn is_whole(&self) -> bool {
        self.nanos % NANOS == 0
    }

    /// True when the amount is a whole number of thousandths.
    pub fn is_whole_millis(&self) -> bool {
        self.nanos % 1_000_000 == 0
    }
}

fn div_ceil(a: i128, b: i128) -> i128 {
    a.div_euclid(b) + i128::from(a.rem_euclid(b) != 0)
}

impl std::ops::Add for Quantity {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let format = if self.nanos == 0 {
            other.format
        } else {
            self.format
        };
        Self {
            nanos: (self.nanos + other.nanos).clamp(-MAX_NANOS, MAX_NANOS),
            format,
        }
    }
}

impl std::ops::Sub for Quantity {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self {
            nanos: (self.nanos - other.nanos).clamp(-MAX_NANOS, MAX_NANOS),
            format: self.format,
        }
    }
}

impl std::ops::Mul<i64> for Quantity {
    type Output = Self;
    fn mul(self, times: i64) -> Self {
        let nanos = self.nanos.saturating_mul(i128::from(times));
        Self {
            nanos: nanos.clamp(-MAX_NANOS, MAX_NANOS),
            format: self.format,
        }
    }
}

impl std::iter::Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), |a, b| a + b)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let negative = text.starts_with('-');
        let number_len = unsigned
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(number_len);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if number.is_empty() || fraction.contains('.') || (whole.is_empty() && fraction.is_empty())
        {
            return Err(QuantityError::Form);
        }
        let (exponent_2, exponent_10, format) = scale(suffix)?;
        let nanos = scaled_nanos(whole, fraction, exponent_2, exponent_10);
        Ok(Self {
            nanos: if negative { -nanos } else { nanos },
            format,
        })
    }
}

/// `(power of two, power of ten, format)` of a suffix.
fn scale(suffix: &str) -> Result<(u32, i32, Format), QuantityError> {
    if let Some((_, power)) = BINARY.iter().find(|(s, _)| *s == suffix) {
        return Ok((*power, 0, Format::BinarySi));
    }
    if let Some((_, power)) = DECIMAL.iter().find(|(s, _)| *s == suffix) {
        return Ok((0, *power, Format::DecimalSi));
    }
    let exponent = suffix
        .strip_prefix(['e', 'E'])
        .ok_or(QuantityError::Suffix)?;
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(QuantityError::Suffix);
    }
    // Beyond these bounds the amount is at the cap or at one nano anyway.
    let power: i32 = exponent
        .parse()
        .unwrap_or(if exponent.starts_with('-') { -64 } else { 64 });
    Ok((0, power.clamp(-64, 64), Format::DecimalExponent))
}

/// The non-negative amount in nanos, rounded up and capped.
fn scaled_nanos(whole: &str, fraction: &str, exponent_2: u32, exponent_10: i32) -> i128 {
    let digits: String = whole.chars().chain(fraction.chars()).collect();
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return 0;
    }
    // value = digits × 10^shift × 2^exponent_2, in nanos.
    let shift = exponent_10 + 9 - i32::try_from(fraction.len().min(1 << 20)).unwrap_or(0);
    let magnitude = i32::try_from(digits.len().min(1 << 20)).unwrap_or(0) + shift;
    if magnitude > 37 {
        return MAX_NANOS;
    }
    // Digits that lie below one nano can only round up; keep what i128 can hold together with a factor of 2^60.
    let keep = digits.len().min(19);
    let dropped = i32::try_from(digits.len() - keep).unwrap_or(0);
    let mut inexact = digits[keep..].bytes().any(|b| b != b'0');
    let mut value: i128 = digits[..keep].parse().unwrap_or(0);
    value <<= exponent_2;
    let shift = shift + dropped;
    if shift >= 0 {
        for _ in 0..shift {
            value = value.saturating_mul(10);
        }
    } else {
        for _ in 0..shift.unsigned_abs().min(64) {
            inexact |= value % 10 != 0;
            value /= 10;
        }
    }
    (value.saturating_add(i128::from(inexact))).min(MAX_NANOS)
}

impl fmt::Display for Quantity {
    /// The canonical form: the largest suffix for which no precision is lost.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        if self.format == Format::BinarySi && self.nanos % NANOS == 0 {
            let units = self.nanos / NANOS;
            // Kubernetes shows binary amounts below 1024 in decimal.
            if units.abs() >= 1024 {
                let mut power = 0;
                let mut value = units;
                while value % 1024 == 0 && power < BINARY.len() {
                    value /= 1024;
                    power += 1;
                }
                let suffix = if power == 0 { "" } else { BINARY[power - 1].0 };
                return write!(f, "{value}{suffix}");
            }
            return write!(f, "{units}");
        }
        let mut value = self.nanos;
        let mut step = 0;
        while value % 1000 == 0 && step < DECIMAL.len() - 1 {
            value /= 1000;
            step += 1;
        }
        let (suffix, power) = DECIMAL[step];
        if self.format == Format::DecimalExponent && power != 0 {
            return write!(f, "{value}e{power}");
        }
        write!(f, "{value}{suffix}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_form() {
        let check = |text: &str, expect: &str| {
            assert_eq!(
                text.parse::<Quantity>().map(|q| q.to_string()),
                Ok(expect.to_owned()),
                "{text}"
            );
        };
        check("100m", "100m");
        check("1000m", "1");
        check("0.5", "500m");
        check(".5", "500m");
        check("1Gi", "1Gi");
        check("1024Mi", "1Gi");
        check("1.5Gi", "1536Mi");
        check("1000Ki", "1000Ki");
        check("512", "512");
        check("12e6", "12e6");
        check("1E3", "1e3");
        check("2E", "2E");
        check("0Mi", "0");
        check("-5k", "-5k");
        check("1.1n", "2n");
        check("99999999999999999999E", "9223372036854775807");
    }

    #[test]
    fn amounts() {
        let q = |t: &str| t.parse::<Quantity>().unwrap();
        assert_eq!(q("1.5Gi").units(), 1_610_612_736);
        assert_eq!(q("250m").units(), 1);
        assert_eq!(q("250m").millis(), 250);
        assert_eq!(q("8Ei").units(), i64::MAX);
        assert_eq!(q("1k") + q("500"), q("1500"));
        assert!(q("1Mi") > q("1M"));
        assert_eq!((q("2") - q("500m")).to_string(), "1500m");
    }

    #[test]
    fn what_is_not_a_quantity() {
        for text in [
            "", "x", "1x", "1.2.3", "1KiB", "--1", "1e", "1 Gi", "Gi", "e3", ".",
        ] {
            assert!(text.parse::<Quantity>().is_err(), "{text:?}");
        }
    }
}
