use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Host;

/// The most hosts that an operator may name as reachable whatever their addresses are.
pub const MAX_NAMED_HOSTS: usize = 256;

/// What an address is for, where that isn't the public Internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// This machine.
    Loopback,
    /// This machine, or none: `0.0.0.0/8`, `::`.
    Unspecified,
    /// Someone's own network: 10/8, 172.16/12, 192.168/16, `fc00::/7`, `fec0::/10`.
    Private,
    /// The same wire, and the metadata services of clouds: 169.254/16, `fe80::/10`.
    LinkLocal,
    /// A provider's own network behind its address translation: 100.64/10; some clouds' metadata is there.
    Shared,
    /// To many at once.
    Multicast,
    /// For documents, measurements, protocols, or nothing yet.
    Reserved,
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressKind::Loopback => "an address of this machine",
            AddressKind::Unspecified => "an unspecified address",
            AddressKind::Private => "an address of a private network",
            AddressKind::LinkLocal => "a link-local address, where clouds have their metadata",
            AddressKind::Shared => "an address of a provider's inner network",
            AddressKind::Multicast => "a multicast address",
            AddressKind::Reserved => "a reserved address",
        })
    }
}

/// What kind of address this is; `None` for one of the public Internet.
///
/// IPv6 addresses that carry an IPv4 address (mapped, compatible, translated by NAT64, 6to4, Teredo) are what the inner one is.
pub fn kind_of(address: IpAddr) -> Option<AddressKind> {
    match address {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) => kind_of_v6(address),
    }
}

fn kind_of_v4(address: Ipv4Addr) -> Option<AddressKind> {
    match address.octets() {
        [0, ..] => Some(AddressKind::Unspecified),
        [127, ..] => Some(AddressKind::Loopback),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some(AddressKind::Private),
        [169, 254, ..] => Some(AddressKind::LinkLocal),
        [100, 64..=127, ..] => Some(AddressKind::Shared),
        [224..=239, ..] => Some(AddressKind::Multicast),
        // Azure's metadata and health service: public by number, inner by nature.
        [168, 63, 129, 16] => Some(AddressKind::LinkLocal),
        // Protocol assignments, documents, the old 6to4 relay, measurements, the future and broadcast.
        [192, 0, 0, _]
        | [192, 0, 2, _]
        | [192, 88, 99, _]
        | [192, 31, 196, _]
        | [192, 52, 193, _]
        | [192, 175, 48, _]
        | [198, 18..=19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [240..=255, ..] => Some(AddressKind::Reserved),
        _ => None,
    }
}

fn kind_of_v6(address: Ipv6Addr) -> Option<AddressKind> {
    let s = address.segments();
    let last_two = || v4(s[6], s[7]);
    match s {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(AddressKind::Unspecified),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(AddressKind::Loopback),
        // Mapped, compatible, SIIT (`::ffff:0:a.b.c.d`), NAT64: what matters is whom the inner address reaches.
        [0, 0, 0, 0, 0, 0xFFFF | 0, ..] | [0, 0, 0, 0, 0xFFFF, 0, ..] => {
            kind_of_v4(last_two()).or(Some(AddressKind::Reserved))
        }
        [0x64, 0xFF9B, 0, 0, 0, 0, ..] => kind_of_v4(last_two()),
        // A network's own NAT64 (RFC 8215): the inner address is anywhere in it.
        [0x64, 0xFF9B, 1, ..] => Some(AddressKind::Private),
        // 6to4 carries the address behind the prefix, Teredo its server's there and the client's, inverted, at the end.
        [0x2002, high, low, ..] => kind_of_v4(v4(high, low)),
        [0x2001, 0, high, low, ..] => kind_of_v4(v4(high, low)).or_else(|| kind_of_v4(v4(!s[6], !s[7]))),
        // Other protocol assignments (2001::/23), ORCHID among them; documents.
        [0x2001, 1..=0x1FF, ..] | [0x2001, 0xDB8, ..] | [0x3FFF, 0..=0xFFF, ..] => {
            Some(AddressKind::Reserved)
        }
        [0xFC00..=0xFDFF, ..] | [0xFEC0..=0xFEFF, ..] => Some(AddressKind::Private),
        [0xFE80..=0xFEBF, ..] => Some(AddressKind::LinkLocal),
        [0xFF00..=0xFFFF, ..] => Some(AddressKind::Multicast),
        // ISATAP interface identifiers carry an IPv4 address behind any prefix.
        [_, _, _, _, 0 | 0x200, 0x5EFE, ..] if kind_of_v4(last_two()).is_some() => kind_of_v4(last_two()),
        // Only 2000::/3 is handed out.
        [0x2000..=0x3FFF, ..] => None,
        _ => Some(AddressKind::Reserved),
    }
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

/// Which addresses may be connected to: those of the public Internet, and whatever the hosts lead to that an operator named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRules {
    named: BTreeSet<Host>,
}

impl AddressRules {
    /// Public addresses only.
    pub fn public() -> Self {
        Self::default()
    }

    /// Lets these hosts be reached at any address. They are meant exactly: nothing below a name is included.
    ///
    /// More than [`MAX_NAMED_HOSTS`] are left out.
    #[must_use]
    pub fn with_named(mut self, hosts: impl IntoIterator<Item = Host>) -> Self {
        let room = MAX_NAMED_HOSTS.saturating_sub(self.named.len());
        self.named.extend(hosts.into_iter().take(room));
        self
    }

    /// Whether a connection to `host` may go to `address`.
    ///
    /// # Errors
    /// What kind of address it is.
    pub fn check(&self, host: &Host, address: IpAddr) -> Result<(), AddressKind> {
        if self.named.contains(host) {
            return Ok(());
        }
        kind_of(address).map_or(Ok(()), Err)
    }

    /// The same for a host as a connector has it, in the text of a request's target.
    pub fn allows(&self, host: &str, address: IpAddr) -> bool {
        match Host::parse(host) {
            Ok(host) => self.check(&host, address).is_ok(),
            // What is no host can't have been named.
            Err(_) => kind_of(address).is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use AddressKind::*;
    use proptest::prelude::*;

    use super::*;

    fn kind(text: &str) -> Option<AddressKind> {
        kind_of(text.parse().expect(text))
    }

    #[test]
    fn every_kind_of_address() {
        let table = [
            ("127.0.0.1", Some(Loopback)),
            ("127.255.255.254", Some(Loopback)),
            ("0.0.0.0", Some(Unspecified)),
            ("0.1.2.3", Some(Unspecified)),
            ("10.0.0.1", Some(Private)),
            ("172.15.255.255", None),
            ("172.16.0.1", Some(Private)),
            ("172.31.255.255", Some(Private)),
            ("172.32.0.1", None),
            ("192.168.1.1", Some(Private)),
            ("169.254.169.254", Some(LinkLocal)),
            ("169.254.170.2", Some(LinkLocal)),
            ("168.63.129.16", Some(LinkLocal)),
            ("100.63.255.255", None),
            ("100.64.0.1", Some(Shared)),
            ("100.100.100.200", Some(Shared)),
            ("100.128.0.1", None),
            ("192.0.0.192", Some(Reserved)),
            ("192.0.2.1", Some(Reserved)),
            ("192.88.99.1", Some(Reserved)),
            ("198.18.0.1", Some(Reserved)),
            ("198.20.0.1", None),
            ("198.51.100.7", Some(Reserved)),
            ("203.0.113.9", Some(Reserved)),
            ("224.0.0.1", Some(Multicast)),
            ("239.255.255.250", Some(Multicast)),
            ("240.0.0.1", Some(Reserved)),
            ("255.255.255.255", Some(Reserved)),
            ("1.1.1.1", None),
            ("8.8.8.8", None),
            ("93.184.216.34", None),
            ("::", Some(Unspecified)),
            ("::1", Some(Loopback)),
            ("::ffff:127.0.0.1", Some(Loopback)),
            ("::ffff:169.254.169.254", Some(LinkLocal)),
            ("::ffff:8.8.8.8", Some(Reserved)),
            ("::127.0.0.1", Some(Loopback)),
            ("::8.8.8.8", Some(Reserved)),
            ("::ffff:0:127.0.0.1", Some(Loopback)),
            ("64:ff9b::127.0.0.1", Some(Loopback)),
            ("64:ff9b::a9fe:a9fe", Some(LinkLocal)),
            ("64:ff9b::8.8.8.8", None),
            ("64:ff9b:1::8.8.8.8", Some(Private)),
            ("2002:7f00:1::", Some(Loopback)),
            ("2002:a00:1::1", Some(Private)),
            ("2002:808:808::", None),
            ("2001:0:7f00:1::", Some(Loopback)),
            ("2001:0:808:808::80ff:fffe", Some(Loopback)),
            ("2001:0:808:808::f7f7:f7f7", None),
            ("2001:db8::1", Some(Reserved)),
            ("2001:10::1", Some(Reserved)),
            ("3fff::1", Some(Reserved)),
            ("fc00::1", Some(Private)),
            ("fd00:ec2::254", Some(Private)),
            ("fec0::1", Some(Private)),
            ("fe80::1", Some(LinkLocal)),
            ("febf::1", Some(LinkLocal)),
            ("ff02::1", Some(Multicast)),
            ("2600::5efe:7f00:1", Some(Loopback)),
            ("100::1", Some(Reserved)),
            ("4000::1", Some(Reserved)),
            ("2606:4700:4700::1111", None),
            ("2a00:1450:4001:81b::200e", None),
        ];
        for (text, expected) in table {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn a_named_host_reaches_its_own_address_and_nothing_else_does() {
        let named = Host::parse("hooks.internal").unwrap();
        let rules = AddressRules::public().with_named([named, Host::parse("10.0.0.7").unwrap()]);
        let private = "10.0.0.7".parse().unwrap();
        let allowed = |host: &str| rules.allows(host, private);
        assert!(allowed("hooks.internal") && allowed("HOOKS.internal.") && allowed("10.0.0.7"));
        for other in [
            "x.hooks.internal",
            "internal",
            "hooks.internal.evil.example",
            "",
            "a b",
            "10.0.0.8",
        ] {
            assert!(!allowed(other), "{other}");
        }
        assert!(rules.allows("example.com", "8.8.8.8".parse().unwrap()));
        let many = (0..MAX_NAMED_HOSTS + 5).map(|n| Host::parse(&format!("h{n}.internal")).unwrap());
        assert_eq!(
            AddressRules::public().with_named(many).named.len(),
            MAX_NAMED_HOSTS
        );
    }

    proptest! {
        /// No wrapping makes an inner address look public.
        #[test]
        fn inner_addresses_stay_inner(bits in any::<u32>()) {
            let inner = Ipv4Addr::from(bits);
            let [a, b, c, d] = inner.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            let wrapped = [
                Ipv6Addr::new(0, 0, 0, 0, 0, 0xFFFF, high, low),
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xFF9B, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, high, low, 0, 0, 0, 0),
                Ipv6Addr::new(0x2001, 0, 0x808, 0x808, 0, 0, !high, !low),
                Ipv6Addr::new(0x2600, 0, 0, 0, 0, 0x5EFE, high, low),
            ];
            if kind_of(inner.into()).is_some() {
                for outer in wrapped {
                    prop_assert!(kind_of(outer.into()).is_some(), "{}", outer);
                }
            }
        }
    }
}
