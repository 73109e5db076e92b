//! Shares of what all use together: nobody may hold more than so many places at a time.
//!
//! Counting only, without I/O: listeners count connections by [`client`], the API server requests by user name.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// How many places each holder has taken.
#[derive(Debug)]
pub struct Shares<K> {
    most: usize,
    taken: Mutex<HashMap<K, usize>>,
}

/// One place; free again when dropped.
#[derive(Debug)]
pub struct Share<K: Eq + Hash> {
    of: Arc<Shares<K>>,
    holder: K,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// Shares of `most` places each.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            taken: Mutex::default(),
        })
    }

    /// A place for `holder`; `None` when it has all that it may have.
    pub fn take(self: &Arc<Self>, holder: K) -> Option<Share<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.get(&holder).copied().unwrap_or(0);
        if count >= self.most {
            return None;
        }
        taken.insert(holder.clone(), count + 1);
        Some(Share {
            of: Arc::clone(self),
            holder,
        })
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut taken = self.of.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.holder);
            }
        }
    }
}

/// Whose connection it is: the address, but of IPv6 the network of 64 bits, all of whose addresses one machine may use.
pub fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back() {
        let shares = Shares::new(2);
        let (a, b) = (shares.take("x"), shares.take("x"));
        assert!(a.is_some() && b.is_some() && shares.take("x").is_none());
        assert!(shares.take("y").is_some());
        drop(a);
        assert!(shares.take("x").is_some());
        drop(b);
        assert!(shares.taken.lock().unwrap().is_empty());
    }

    #[test]
    fn clients() {
        let check = |address: &str, expect: &str| {
            assert_eq!(client(address.parse().unwrap()).to_string(), expect);
        };
        check("192.0.2.7", "192.0.2.7");
        check("::ffff:192.0.2.7", "192.0.2.7");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
    }
}
