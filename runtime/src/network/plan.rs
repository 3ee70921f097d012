//! The two namespaces and what is done in each, as plain data.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::spec::Egress;

/// Killercoda's address of the first host; scenarios have it in their texts.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 30, 1, 2);
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(172, 30, 1, 1);
pub const PREFIX: u8 = 24;

/// One thing to do in a network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Step {
    /// `ip link set NAME up`
    Up { name: String },
    /// `ip link add NAME type veth peer name PEER netns <the sandbox's>`
    Cable { name: String, peer: String },
    /// `ip address add ADDRESS/PREFIX dev NAME`
    Address { name: String, address: Ipv4Addr, prefix: u8 },
    /// `ip route add default via GATEWAY`
    DefaultRoute { gateway: Ipv4Addr },
    /// `ip route add local 0.0.0.0/0 dev lo`: every address is this namespace's own.
    EverythingIsLocal,
    /// A value below /proc/sys/net of the namespace.
    Sysctl { key: String, value: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// In the gateway's namespace.
    pub gateway: Vec<Step>,
    /// In the sandbox's, after the gateway's.
    pub sandbox: Vec<Step>,
}

impl Plan {
    pub fn new(egress: Egress) -> Self {
        let Egress::None = egress;
        let up = |name: &str| Step::Up { name: name.into() };
        let sysctl = |key: &str, value: &str| Step::Sysctl { key: key.into(), value: value.into() };
        Self {
            gateway: vec![
                up("lo"),
                // Without the limit on ICMP errors every refusal arrives (30 of 30 at once).
                sysctl("ipv4/icmp_ratelimit", "0"),
                // Or a ping to anywhere would be answered, as every address is local.
                sysctl("ipv4/icmp_echo_ignore_all", "1"),
                Step::Cable { name: "cable".into(), peer: "eth0".into() },
                Step::Address { name: "cable".into(), address: GATEWAY, prefix: PREFIX },
                up("cable"),
                Step::EverythingIsLocal,
            ],
            sandbox: vec![
                up("lo"),
                Step::Address { name: "eth0".into(), address: ADDRESS, prefix: PREFIX },
                up("eth0"),
                Step::DefaultRoute { gateway: GATEWAY },
                // Everybody may ping without a capability (icmp(7)).
                sysctl("ipv4/ping_group_range", "0 65535"),
            ],
        }
    }
}

impl Step {
    /// As the command that a person would type.
    pub fn command(&self) -> String {
        match self {
            Self::Up { name } => format!("ip link set {name} up"),
            Self::Cable { name, peer } => format!("ip link add {name} type veth peer name {peer} netns sandbox"),
            Self::Address { name, address, prefix } => format!("ip address add {address}/{prefix} dev {name}"),
            Self::DefaultRoute { gateway } => format!("ip route add default via {gateway}"),
            Self::EverythingIsLocal => "ip route add local 0.0.0.0/0 dev lo".into(),
            Self::Sysctl { key, value } => format!("sysctl -w net.{}={value:?}", key.replace('/', ".")),
        }
    }
}
