//! Whatever a peer sends as text is refused or becomes a body of bounded size; and a body that is cut and coded for any other peer
//! is the same text when that peer has decoded and joined the parts.

use bytes::{Bytes, BytesMut};
use smppgw::text::build::{Carrier, Content, Outgoing, PartFields};
use smppgw::text::{Alphabet, Body, Concatenation, DefaultAlphabet, LongMessages, decode, gsm7, plan, translit, udh};

const ALPHABETS: [DefaultAlphabet; 4] =
    [DefaultAlphabet::Gsm7, DefaultAlphabet::Gsm7Packed, DefaultAlphabet::Latin1, DefaultAlphabet::Utf8];
const FORMS: [LongMessages; 4] = [LongMessages::Udh8, LongMessages::Udh16, LongMessages::Sar, LongMessages::Payload];

/// An octet that chooses alphabet, header, and how the other peer takes texts; the data_coding; how often the text stands there;
/// the text.
pub fn run(data: &[u8]) {
    let [how, data_coding, times, text @ ..] = data else { return };
    let sent = Bytes::from(text.repeat(usize::from(*times % 16) + 1));
    let (header, text) = match how & 1 {
        0 => (udh::Header::default(), sent.clone()),
        _ => match udh::split(&sent) {
            Ok(split) => split,
            Err(_) => return,
        },
    };
    let choice = |shift: u8| usize::from(how >> shift & 3);
    let Ok((body, dcs_class)) = decode::decode(ALPHABETS[choice(1)], *data_coding, text.clone(), header.length) else { return };
    assert!(body.octets.len() <= 2 * text.len() + 1, "a text at most doubles");
    sound(&body);
    if let Some(plain) = translit::to_gsm7(&body) {
        sound(&plain);
    }
    let content = Content { body: &body, elements: &header.elements, own: header.concatenation, reference: 0x1A7, dcs_class };
    carried(content, Carrier { alphabet: ALPHABETS[choice(3)], long_messages: FORMS[choice(5)] });
}

fn sound(body: &Body) {
    match body.alphabet {
        Alphabet::Gsm7 => assert!(gsm7::is_valid(&body.octets)),
        Alphabet::Ucs2 => assert!(body.octets.len().is_multiple_of(2)),
        Alphabet::Octets => assert_eq!(body.to_text(), None),
    }
}

fn carried(content: Content<'_>, carrier: Carrier) {
    let counted = plan::count_parts(content.body, content.elements.len(), content.own);
    let Ok(outgoing) = Outgoing::new(content, carrier) else { return };
    let count = outgoing.count();
    assert!((1..=255).contains(&count));
    if carrier == (Carrier { alphabet: DefaultAlphabet::Gsm7, long_messages: LongMessages::Udh8 }) {
        assert_eq!(counted, Ok(count));
    }
    let mut parts = Vec::new();
    for index in 0..count {
        let mut out = BytesMut::new();
        let fields = outgoing.write(index, &mut out);
        assert!(fields.payload || out.len() <= 254, "short_message has no room for {}", out.len());
        assert!(!fields.payload || count == 1 || out.len() > 254);
        let (body, concatenation) = received(&fields, out.freeze(), content, carrier);
        let (total, sequence) = (count as u8, index as u8 + 1);
        match (concatenation, content.own) {
            (Some(found), Some(own)) => assert_eq!((found.total, found.sequence), (own.total, own.sequence)),
            (Some(found), None) => assert_eq!((found.total, found.sequence), (total, sequence)),
            (None, own) => assert!(own.is_none() && count == 1),
        }
        parts.push(body);
    }
    if carrier.alphabet == DefaultAlphabet::Gsm7Packed && escapes_padding(content.body) {
        return;
    }
    let joined = Body::join(&parts);
    assert_eq!(readable(&joined, carrier), readable(content.body, carrier));
}

/// What the other peer makes of a part.
fn received(fields: &PartFields, part: Bytes, content: Content<'_>, carrier: Carrier) -> (Body, Option<Concatenation>) {
    let (header, text) = match fields.esm_class & 0x40 {
        0 => (udh::Header::default(), part),
        _ => udh::split(&part).expect("our own header"),
    };
    assert_eq!(header.elements, content.elements);
    assert!(header.concatenation.is_none() || fields.sar.is_none());
    let (body, class) = decode::decode(carrier.alphabet, fields.data_coding, text, header.length).expect("our own text");
    assert_eq!(decode::data_coding(body.alphabet, class), fields.data_coding, "the class is kept");
    (body, header.concatenation.or(fields.sar))
}

/// Packed, a part may lose what looks like padding at its end; an escape before it, which means nothing, then means something with
/// the first character of the next part.
fn escapes_padding(body: &Body) -> bool {
    body.octets.windows(2).any(|pair| matches!(pair, [gsm7::ESCAPE, b'\0' | b'\r']))
}

/// The text as a person sees it. Packed text does not keep what looks like padding.
fn readable(body: &Body, carrier: Carrier) -> Result<String, Bytes> {
    let text = body.to_text().ok_or_else(|| body.octets.clone())?;
    if carrier.alphabet == DefaultAlphabet::Gsm7Packed {
        return Ok(text.replace(['@', '\r'], ""));
    }
    Ok(text)
}
