//! User data headers are taken apart without panic, nothing is lost between header and text, and a header that is written again
//! says the same.

use bytes::{Bytes, BytesMut};
use smppgw::text::udh::{self, ReferenceWidth};

/// All of the data is user data that begins with a header.
pub fn run(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    let Ok((header, text)) = udh::split(&data) else {
        assert!(data.first().is_none_or(|udhl| data.len() < 1 + usize::from(*udhl)));
        return;
    };
    assert_eq!(header.length, 1 + usize::from(data[0]));
    assert_eq!(text, data[header.length..]);
    assert!(header.elements.len() < header.length);
    if let Some(concatenation) = header.concatenation {
        assert!((1..=concatenation.total).contains(&concatenation.sequence));
    }
    let width = |reference| if reference > 0xFF { ReferenceWidth::Sixteen } else { ReferenceWidth::Eight };
    let written = header.concatenation.map(|concatenation| (concatenation, width(concatenation.reference)));
    let mut out = BytesMut::new();
    udh::write(written, &header.elements, &mut out);
    assert_eq!(out.len(), udh::header_octets(written.map(|(_, width)| width), header.elements.len()));
    assert!(out.len() <= header.length, "never longer than it was");
    if out.is_empty() {
        return;
    }
    out.extend_from_slice(&text);
    let (again, rest) = udh::split(&out.freeze()).expect("our own header");
    assert_eq!((again.concatenation, again.elements, rest), (header.concatenation, header.elements, text));
}
