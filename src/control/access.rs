//! Who may do what, by the credentials of the process at the other end (SO_PEERCRED). Pure.
//!
//! Whoever the mode of the socket lets in may look; what changes the gateway is for root and the gateway's own user. The kernel vouches
//! for the uid. Groups do not count: the kernel tells the primary one only.

use super::Request;

/// May a process of `peer` ask this of a gateway that runs as `own`? `None`: the kernel did not say who it is.
pub fn is_allowed(request: &Request, peer: Option<u32>, own: u32) -> bool {
    !request.acts() || peer.is_some_and(|peer| peer == 0 || peer == own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::QuarantineAction;

    #[test]
    fn everybody_whom_the_socket_lets_in_may_look_and_only_root_and_the_gateways_user_may_change_it() {
        for (peer, may) in [(Some(0), true), (Some(998), true), (Some(1000), false), (Some(65_534), false), (None, false)] {
            assert!(is_allowed(&Request::Stats, peer, 998));
            assert_eq!(is_allowed(&Request::Reload, peer, 998), may, "{peer:?}");
            assert_eq!(is_allowed(&Request::Drain, peer, 998), may, "{peer:?}");
            let quarantine = |action| is_allowed(&Request::Quarantine { action, id: None }, peer, 998);
            assert!(quarantine(QuarantineAction::List));
            assert_eq!((quarantine(QuarantineAction::Release), quarantine(QuarantineAction::Drop)), (may, may), "{peer:?}");
        }
    }
}
