use std::sync::Arc;

use super::*;
use crate::config::{Disk, parse};

const SHOP: &[u8] = b"change-me";

/// An account with a hash, one in the clear, and one limited to a network.
fn accounts() -> Vec<Account> {
    let hash = crate::cli::hash_password::hash(SHOP).expect("a hash");
    let text = format!(
        "[[account]]\nsystem_id = 'shop'\npassword_hash = '{hash}'\n\
         [[account]]\nsystem_id = 'demo'\npassword = 'demo1234'\n\
         [[account]]\nsystem_id = 'inside'\npassword = 'demo1234'\nallow_from = ['10.0.0.0/8']\n"
    );
    parse(&text, "x.toml", &Disk::default()).expect("checked").accounts
}

fn peer(text: &str) -> Peer {
    Peer { address: text.parse().expect("an address"), certificate: None }
}

thread_local! {
    static ARGON2ID: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Notes that this thread has done the slow work once.
pub(super) fn count_argon2id() {
    ARGON2ID.set(ARGON2ID.get() + 1);
}

#[test]
fn the_right_password_opens_the_account_and_no_other() {
    let directory = Directory::new(&accounts(), [7; 32]);
    let anywhere = &peer("192.0.2.1");
    assert_eq!(directory.check(b"shop", SHOP, anywhere), Ok(AccountIndex(0)));
    assert_eq!(directory.check(b"demo", b"demo1234", anywhere), Ok(AccountIndex(1)));
    assert_eq!(directory.check(b"shop", b"demo1234", anywhere), Err(Refusal::WrongPassword));
    assert_eq!(directory.check(b"demo", b"demo123", anywhere), Err(Refusal::WrongPassword));
    assert_eq!(directory.check(b"demo", b"", anywhere), Err(Refusal::WrongPassword));
    assert_eq!(directory.check(b"nobody", b"demo1234", anywhere), Err(Refusal::UnknownAccount));
}

#[test]
fn an_address_outside_the_list_is_refused_even_with_the_right_password() {
    let directory = Directory::new(&accounts(), [7; 32]);
    assert_eq!(directory.check(b"inside", b"demo1234", &peer("192.0.2.1")), Err(Refusal::AddressNotAllowed));
    assert_eq!(directory.known(b"inside", b"demo1234", &peer("192.0.2.1")), None);
    assert_eq!(directory.check(b"inside", b"demo1234", &peer("10.1.2.3")), Ok(AccountIndex(2)));
    assert_eq!(directory.check(b"inside", b"demo1234", &peer("::ffff:10.1.2.3")), Ok(AccountIndex(2)));
}

#[test]
fn a_hash_is_verified_once_and_known_from_then_on() {
    let directory = Directory::new(&accounts(), [7; 32]);
    let anywhere = &peer("192.0.2.1");
    assert_eq!(directory.known(b"shop", SHOP, anywhere), None);
    assert_eq!(directory.check(b"shop", SHOP, anywhere), Ok(AccountIndex(0)));
    assert_eq!(directory.known(b"shop", SHOP, anywhere), Some(AccountIndex(0)));
    assert_eq!(directory.check(b"shop", b"wrong", anywhere), Err(Refusal::WrongPassword));
    assert_eq!(directory.known(b"shop", SHOP, anywhere), Some(AccountIndex(0)), "a wrong password makes nothing forgotten");
}

#[test]
fn a_reload_remembers_who_is_known_unless_the_hash_changed() {
    let before = accounts();
    let earlier = Directory::new(&before, [7; 32]);
    let anywhere = &peer("192.0.2.1");
    assert_eq!(earlier.check(b"shop", SHOP, anywhere), Ok(AccountIndex(0)));

    let same = Directory::new(&before, [7; 32]);
    same.remember(&earlier);
    assert_eq!(same.known(b"shop", SHOP, anywhere), Some(AccountIndex(0)));

    let changed = Directory::new(&accounts(), [7; 32]);
    changed.remember(&earlier);
    assert_eq!(changed.known(b"shop", SHOP, anywhere), None);
}

#[test]
fn a_password_in_the_clear_that_changed_is_not_remembered() {
    let mut changed = accounts();
    let earlier = Directory::new(&changed, [7; 32]);
    changed[1].credential = Credential::Clear(crate::config::Secret::new("other123"));
    let directory = Directory::new(&changed, [7; 32]);
    directory.remember(&earlier);
    assert_eq!(directory.check(b"demo", b"demo1234", &peer("192.0.2.1")), Err(Refusal::WrongPassword));
    assert_eq!(directory.check(b"demo", b"other123", &peer("192.0.2.1")), Ok(AccountIndex(1)));
}

#[test]
fn the_decoy_is_a_hash_that_can_be_verified_against_so_that_refusals_cost_the_same() {
    assert_eq!(crate::config::argon2id_fault(DECOY), None);
    assert!(!argon2id_accepts(DECOY, b"anything"));
}

#[test]
fn many_binds_at_once_with_the_same_password_are_verified_together() {
    let directory = Arc::new(Directory::new(&accounts(), [7; 32]));
    let binds: Vec<_> = (0..16)
        .map(|_| {
            let directory = directory.clone();
            std::thread::spawn(move || directory.check(b"shop", SHOP, &peer("192.0.2.1")))
        })
        .collect();
    assert!(binds.into_iter().all(|bind| matches!(bind.join(), Ok(Ok(AccountIndex(0))))));
}

#[test]
fn the_hash_in_the_annotated_reference_is_of_the_password_it_names() {
    let config = parse(include_str!("../../conf/smppgw.toml"), "smppgw.toml", &Disk::default()).expect("checked");
    let directory = Directory::new(&config.accounts, [7; 32]);
    assert_eq!(directory.check(b"shop", b"change-me", &peer("127.0.0.1")), Ok(AccountIndex(0)));
}

#[test]
fn every_refusal_costs_one_argon2id_whatever_its_reason() {
    let directory = Directory::new(&accounts(), [7; 32]);
    let work = |system_id: &[u8], password: &[u8], from: &str| {
        let before = ARGON2ID.get();
        (directory.check(system_id, password, &peer(from)).err(), ARGON2ID.get() - before)
    };
    let anywhere = "192.0.2.1";
    assert_eq!(work(b"shop", b"wrong", anywhere), (Some(Refusal::WrongPassword), 1), "against its hash");
    assert_eq!(work(b"demo", b"wrong", anywhere), (Some(Refusal::WrongPassword), 1), "against a decoy: it is in the clear");
    assert_eq!(work(b"nobody", b"wrong", anywhere), (Some(Refusal::UnknownAccount), 1));
    assert_eq!(work(b"shop", b"", anywhere), (Some(Refusal::WrongPassword), 1));
    assert_eq!(work(b"", b"", anywhere), (Some(Refusal::UnknownAccount), 1));
    assert_eq!(work(b"inside", b"wrong", anywhere), (Some(Refusal::WrongPassword), 1));
    assert_eq!(work(b"inside", b"demo1234", anywhere), (Some(Refusal::AddressNotAllowed), 1), "the password was right");
    assert_eq!(work(b"shop", SHOP, anywhere), (None, 1));
    assert_eq!(work(b"shop", SHOP, anywhere), (None, 0), "known from then on");
}
