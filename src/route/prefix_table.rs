//! Values by prefix, found by the longest prefix that a number begins with.

use super::digits::Digits;

/// An immutable table of prefixes.
///
/// In the order of strings the numbers that begin with a prefix stand side by side, so prefixes cut the line of all numbers into
/// sections, each with one longest prefix: looking up is a binary search among the places where sections begin, whatever the prefixes
/// look like: five comparisons for ten prefixes, eighteen for a hundred thousand.
#[derive(Debug, Clone)]
pub(super) struct PrefixTable<T> {
    entries: Vec<Entry<T>>,
    /// Where sections begin, in order.
    starts: Vec<Digits>,
    /// The longest prefix of each section, as an index of `entries`; none where no prefix holds.
    longest: Vec<Option<u32>>,
}

#[derive(Debug, Clone)]
struct Entry<T> {
    prefix: Digits,
    value: T,
    /// The next shorter prefix that it begins with itself.
    shorter: Option<u32>,
}

impl<T> Default for PrefixTable<T> {
    fn default() -> Self {
        PrefixTable { entries: Vec::new(), starts: Vec::new(), longest: Vec::new() }
    }
}

impl<T> PrefixTable<T> {
    /// How many prefixes.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The prefixes that the number begins with and what they stand for, the longest first.
    pub fn of(&self, number: Digits) -> impl Iterator<Item = (Digits, &T)> {
        let sections_before = self.starts.partition_point(|start| *start <= number);
        let mut next = sections_before.checked_sub(1).and_then(|section| self.longest[section]);
        std::iter::from_fn(move || {
            let entry = &self.entries[next? as usize];
            next = entry.shorter;
            Some((entry.prefix, &entry.value))
        })
    }

    /// From here on another prefix is the longest.
    fn begin_section(&mut self, start: Digits, longest: Option<u32>) {
        if self.starts.last() == Some(&start) {
            // The section before is empty: one prefix ends where the next one begins.
            self.starts.pop();
            self.longest.pop();
        }
        self.starts.push(start);
        self.longest.push(longest);
    }

    /// Behind the numbers of a prefix the one around it goes on.
    fn end(&mut self, prefix: Digits, around: &[(Digits, u32)]) {
        if let Some(next) = prefix.behind() {
            self.begin_section(next, around.last().map(|(_, index)| *index));
        }
    }
}

/// Of a prefix that is given twice the first value counts.
impl<T> FromIterator<(Digits, T)> for PrefixTable<T> {
    fn from_iter<I: IntoIterator<Item = (Digits, T)>>(prefixes: I) -> Self {
        let mut prefixes: Vec<_> = prefixes.into_iter().collect();
        // In this order a prefix stands right before those that begin with it.
        prefixes.sort_by_key(|(prefix, _)| *prefix);
        prefixes.dedup_by_key(|(prefix, _)| *prefix);
        let mut table = PrefixTable::default();
        // Prefixes whose numbers have not all passed yet: each begins with the one before it.
        let mut open: Vec<(Digits, u32)> = Vec::new();
        for (index, (prefix, value)) in (0..).zip(prefixes) {
            while let Some((ended, _)) = open.pop_if(|(outer, _)| !prefix.begins_with(*outer)) {
                table.end(ended, &open);
            }
            table.entries.push(Entry { prefix, value, shorter: open.last().map(|(_, outer)| *outer) });
            table.begin_section(prefix, Some(index));
            open.push((prefix, index));
        }
        while let Some((ended, _)) = open.pop() {
            table.end(ended, &open);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digits(text: &str) -> Digits {
        Digits::parse(text.as_bytes()).expect("digits")
    }

    fn table(prefixes: &[&str]) -> PrefixTable<usize> {
        prefixes.iter().enumerate().map(|(at, prefix)| (digits(prefix), at)).collect()
    }

    fn found(table: &PrefixTable<usize>, number: &str) -> Vec<String> {
        table.of(digits(number)).map(|(prefix, _)| prefix.to_string()).collect()
    }

    #[test]
    fn prefixes_are_found_the_longest_first() {
        let table = table(&["358", "35840", "", "3584", "359"]);
        assert_eq!(found(&table, "358401234567"), ["35840", "3584", "358", ""]);
        assert_eq!(found(&table, "358411234567"), ["3584", "358", ""]);
        assert_eq!(found(&table, "359"), ["359", ""]);
        assert_eq!(found(&table, "35"), [""], "no prefix is longer than the number");
        assert_eq!(found(&table, ""), [""]);
    }

    #[test]
    fn prefixes_at_the_ends_of_the_line_and_as_long_as_a_number_are_found() {
        let table = table(&["0", "0000000000000000", "9", "9999999999999999"]);
        assert_eq!(found(&table, "0000000000000000"), ["0000000000000000", "0"]);
        assert_eq!(found(&table, "000000000000000"), ["0"]);
        assert_eq!(found(&table, "9999999999999999"), ["9999999999999999", "9"]);
        assert_eq!(found(&table, "9999999999999998"), ["9"]);
        assert_eq!(found(&table, "8"), [""; 0]);
    }

    #[test]
    fn of_a_prefix_given_twice_the_first_value_counts() {
        let table = table(&["4", "4"]);
        assert_eq!((table.len(), table.of(digits("46")).next().map(|(_, value)| *value)), (1, Some(0)));
    }

    proptest! {
        /// Few digits, so that prefixes are nested in each other and numbers meet them.
        #[test]
        fn it_finds_what_comparing_with_every_prefix_finds(
            prefixes in prop::collection::vec("[0189]{0,6}", 0..60),
            numbers in prop::collection::vec("[0189]{0,9}", 1..60),
        ) {
            let table: PrefixTable<()> = prefixes.iter().map(|prefix| (digits(prefix), ())).collect();
            for number in &numbers {
                let mut expected: Vec<&str> = prefixes.iter().map(String::as_str).filter(|p| number.starts_with(p)).collect();
                expected.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
                expected.dedup();
                let found: Vec<String> = table.of(digits(number)).map(|(prefix, ())| prefix.to_string()).collect();
                prop_assert_eq!(found, expected, "{}", number);
            }
        }
    }
}
