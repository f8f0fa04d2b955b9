//! User data headers are taken apart without panic, and nothing is lost between header and text.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use smppgw::text::udh;

fuzz_target!(|data: &[u8]| {
    if let Ok((header, text)) = udh::split(&Bytes::copy_from_slice(data)) {
        assert_eq!(header.length + text.len(), data.len());
        if let Some(concatenation) = header.concatenation {
            assert!((1..=concatenation.total).contains(&concatenation.sequence));
        }
    }
});
