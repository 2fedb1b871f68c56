//! Which addresses are public, and the resolver that yields no other.
//!
//! Whoever may create a webhook decides where this server sends requests. Without a guard that would reach
//! services that trust the network they are in (SSRF). The check sits in the resolver that the HTTP client
//! connects through: between what was checked and what is dialled there is no second look-up that could answer
//! otherwise (DNS rebinding).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::WebhookError;

/// How long a name may take to resolve; as upstream.
const RESOLVE_WITHIN: Duration = Duration::from_secs(5);

/// IPv4 that is not public: the IANA special-purpose registry, multicast and the reserved rest.
const SPECIAL_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),       // "this network", unspecified
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // carrier-grade NAT
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local, metadata services of clouds
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays, withdrawn
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, broadcast
];

/// IPv6 inside 2000::/3 that is not public. Outside of 2000::/3 nothing is: loopback, unique local, link-local,
/// site-local, multicast, discard and translated addresses need no line of their own.
const SPECIAL_V6: [(Ipv6Addr, u32); 3] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments, among them Teredo and ORCHID
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        // A form that carries an IPv4 address reaches that one, so it is judged by that one.
        IpAddr::V6(address) => match carried_v4(address) {
            Some(carried) => is_public_v4(carried),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    !SPECIAL_V4.iter().any(|(network, length)| (bits ^ u32::from(*network)) >> (32 - length) == 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = u128::from(address);
    let special =
        SPECIAL_V6.iter().any(|(network, length)| (bits ^ u128::from(*network)) >> (128 - length) == 0);
    bits >> 125 == 1 && !special
}

/// The IPv4 address in a mapped, compatible, NAT64 or 6to4 one.
fn carried_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = |segments: &[u16; 8]| Ipv4Addr::from((u32::from(segments[6]) << 16) | u32::from(segments[7]));
    let segments = address.segments();
    match segments {
        // `::` and `::1` fall under this too, as 0.0.0.0 and 0.0.0.1, which are refused.
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] => Some(last(&segments)),
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(last(&segments)),
        [0x2002, high, low, ..] => Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))),
        _ => None,
    }
}

/// Resolves names, and refuses those that have an address which is not public.
#[derive(Clone)]
pub(crate) struct AddressGuard {
    /// Host names and addresses the operator vouches for, lower case.
    allowed: Arc<[String]>,
}

impl AddressGuard {
    pub(crate) fn new(allowed: &[String]) -> Self {
        let clean = |host: &String| host.trim().trim_matches(['[', ']']).to_ascii_lowercase();
        Self { allowed: allowed.iter().map(clean).filter(|host| !host.is_empty()).collect() }
    }

    pub(crate) fn is_allowed(&self, host: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
    }

    /// An address written out: no resolver is asked about it, so it has to be checked before it is dialled.
    pub(crate) fn check_literal(&self, address: IpAddr) -> Result<(), WebhookError> {
        if is_public(address) || self.is_allowed(&address.to_string()) {
            return Ok(());
        }
        Err(WebhookError::NotPublic { host: address.to_string(), address })
    }

    /// Every address of `host`; one bad address spoils the name, as the client may pick any of them.
    pub(crate) async fn resolve_host(&self, host: &str) -> Result<Vec<SocketAddr>, WebhookError> {
        let unresolved = |cause: String| WebhookError::Unresolved { host: host.to_owned(), cause };
        let found = tokio::time::timeout(RESOLVE_WITHIN, tokio::net::lookup_host((host, 0)))
            .await
            .map_err(|_| unresolved(format!("no answer within {} s", RESOLVE_WITHIN.as_secs())))?
            .map_err(|error| unresolved(error.to_string()))?;
        let addresses: Vec<SocketAddr> = found.collect();
        if addresses.is_empty() {
            return Err(unresolved("it has no address".to_owned()));
        }
        if !self.is_allowed(host)
            && let Some(bad) = addresses.iter().find(|address| !is_public(address.ip()))
        {
            return Err(WebhookError::NotPublic { host: host.to_owned(), address: bad.ip() });
        }
        Ok(addresses)
    }
}

impl Resolve for AddressGuard {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, host) = (self.clone(), name.as_str().to_owned());
        Box::pin(async move {
            match guard.resolve_host(&host).await {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as Addrs),
                Err(error) => Err(Box::new(error) as Box<dyn std::error::Error + Send + Sync>),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        let refused = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::a00:1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001::1",
            "2001:10::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "5f00::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ];
        for text in refused {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        let taken = [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:200::1",
            "2606:4700:4700::1111",
            "2a00:1450:4001:82a::200e",
        ];
        for text in taken {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_its_addresses_unless_the_operator_vouches_for_it() {
        let guard = AddressGuard::new(&[]);
        let refusal = guard.resolve_host("localhost").await.unwrap_err();
        assert!(matches!(refusal, WebhookError::NotPublic { .. }), "{refusal}");
        let vouched = AddressGuard::new(&[" LocalHost ".to_owned(), "[::1]".to_owned()]);
        assert!(vouched.resolve_host("localhost").await.is_ok());
        assert!(vouched.check_literal("::1".parse().unwrap()).is_ok());
        assert!(vouched.check_literal("127.0.0.1".parse().unwrap()).is_err());
    }
}
