//! Receipt texts of any octets are read without panic, and everything flagged as a receipt is one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smppgw::receipt::text::{Delivery, from_parts};

fuzz_target!(|data: &[u8]| {
    let [esm_class, data_coding, text @ ..] = data else { return };
    let receipt = from_parts(Delivery { esm_class: *esm_class, data_coding: *data_coding, text, ..Delivery::default() });
    if esm_class & 0x3C == 0x04 {
        assert!(receipt.is_some());
    }
});
