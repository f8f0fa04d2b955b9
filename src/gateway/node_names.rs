//! The names that message ids begin with. An id keeps the name it was given under when the node gets another one: its sender knows it so.

use std::sync::Arc;

use super::parse_message_id;
use crate::message::MessageId;

/// All names the node has had since its spool began. Ids are one growing sequence, so each name has a range of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeNames {
    /// With the first id given under each, oldest first.
    names: Vec<(MessageId, Arc<str>)>,
}

impl NodeNames {
    /// All ids have this name.
    pub fn new(name: Arc<str>) -> Self {
        NodeNames { names: vec![(MessageId(0), name)] }
    }

    /// Reads what [`NodeNames::text`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let line = |line: &str| {
            let (first, name) = line.split_once(' ')?;
            Some((MessageId(u64::from_str_radix(first, 16).ok()?), Arc::from(name)))
        };
        let names: Vec<(MessageId, Arc<str>)> = text.lines().map(line).collect::<Option<_>>()?;
        let in_order = names.is_sorted_by(|(first, _), (next, _)| first < next);
        (in_order && names.first().is_some_and(|(first, _)| *first == MessageId(0))).then_some(NodeNames { names })
    }

    /// A line for each name: the first id, in hexadecimal, and the name.
    pub fn text(&self) -> String {
        self.names.iter().map(|(first, name)| format!("{:x} {name}\n", first.0)).collect()
    }

    /// Ids from `next` on have this name; false when they have it already.
    pub fn rename(&mut self, name: &Arc<str>, next: MessageId) -> bool {
        if self.of(next) == &**name {
            return false;
        }
        // Of a name that no id was given under nothing need be known.
        self.names.retain(|(first, _)| *first < next);
        self.names.push((next, name.clone()));
        true
    }

    /// The name in front of an id.
    pub fn of(&self, id: MessageId) -> &str {
        self.names.iter().rev().find(|(first, _)| *first <= id).map_or("", |(_, name)| name)
    }

    /// Reads an id as its sender knows it; `next` is the id not given yet.
    pub fn read(&self, text: &str, next: MessageId) -> Option<MessageId> {
        let read = |name: &str| {
            let id = parse_message_id(name, text, next)?;
            (self.of(id) == name || !text.starts_with(name)).then_some(id)
        };
        self.names.iter().rev().find_map(|(_, name)| read(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed() -> NodeNames {
        let mut names = NodeNames::new("gw1".into());
        assert!(names.rename(&"b".into(), MessageId(0x100)));
        assert!(names.rename(&"gw10".into(), MessageId(0x200)));
        names
    }

    #[test]
    fn an_id_keeps_the_name_it_was_given_under() {
        let names = renamed();
        let of = |id| names.of(MessageId(id));
        assert_eq!([of(1), of(0xFF), of(0x100), of(0x1FF), of(0x200), of(u64::MAX)], ["gw1", "gw1", "b", "b", "gw10", "gw10"]);
        let read = |text| names.read(text, MessageId(0x300)).map(|id| id.0);
        assert_eq!([read("gw100000042"), read("b00000142"), read("gw1000000242")], [Some(0x42), Some(0x142), Some(0x242)]);
        assert_eq!([read("gw100000142"), read("b00000042"), read("gw200000042")], [None; 3], "given under another name");
        assert_eq!(read("00000042"), Some(0x42), "as SMPP 3.3 has it");
    }

    #[test]
    fn the_names_are_read_back_as_they_were_written() {
        let mut names = renamed();
        assert_eq!(NodeNames::parse(&names.text()).as_ref(), Some(&names));
        assert!(!names.rename(&"gw10".into(), MessageId(0x400)));
        assert!(names.rename(&"c".into(), MessageId(0x200)));
        assert_eq!((names.of(MessageId(0x1FF)), names.of(MessageId(0x200))), ("b", "c"));
        for text in ["", "1 gw1\n", "0 gw1\n0 b\n", "x gw1\n", "gw1\n"] {
            assert_eq!(NodeNames::parse(text), None, "{text:?}");
        }
    }
}
