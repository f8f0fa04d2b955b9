//! The segmented append log: records, segments, group commit, recovery, compaction, quarantine.
