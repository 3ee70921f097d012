//! A sandbox's network: a cable to a gateway that belongs to the sandbox too, and nothing behind it.
//!
//! With egress `none` nothing connects a sandbox to the host. Its eth0 ends in a second network
//! namespace, the gateway, in which every address is local: connects are refused at once instead of
//! timing out, and the shim's children bind sockets there. No firewall rule is needed anywhere.

pub mod plan;
pub mod netlink;
