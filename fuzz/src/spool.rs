//! A spool of any octets, or one in which some octets have changed, is opened or refused: no record is shown that its checksum does
//! not vouch for, another version is never misread, and what was shown is there at the next start too, with what was added.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use smppgw::spool::sim::{Landed, SimDisk};
use smppgw::spool::{AppendError, Class, Disk, Location, OpenError, Recovered, Settings, Spool};

const SEGMENT: usize = 64 << 10;
const SETTINGS: Settings = Settings { segment_size: SEGMENT as u64, max_size: 64 * SEGMENT as u64, disk_reserve: 0 };
/// The versions of the format that are read, the last of which is written; and what stands beside the class of a group's first record.
const VERSIONS: [u32; 2] = [3, 4];
const GROUP_START: u8 = 0x80;
/// The last number a segment can have: none may follow.
const LAST_NUMBER: u32 = u32::MAX - 1;
/// Where the two copies of a segment's header stand, and their length with the checksum at the end.
const COPIES: [usize; 2] = [0, 4096];
const HEADER: usize = 64;
const RECORDS_AT: usize = 8192;
const RECORD_HEADER: usize = 20;

/// What is shown of a record: kind, class, id, payload.
type Shown = (u8, u8, u64, Vec<u8>);

/// The first octet says what kind of spool it is: files made of the rest, or a sound spool changed by the rest; and whether the
/// checksums of the headers are put right afterwards, so that what they protect is tried as well.
pub fn run(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else { return };
    let sound = how & 1 != 0;
    let disk = if sound { changed(rest) } else { made(rest, how & 4 != 0) };
    if how & 2 != 0 {
        segments(&disk).iter().for_each(|name| disk.alter(name, |file| repair_header(file)));
    }
    let before: Vec<Vec<u8>> = segments(&disk).iter().map(|name| disk.content(name)).collect();
    let mut shown = Vec::new();
    let opened = Spool::open(disk.clone(), SETTINGS, &mut |record| shown.push((record.location, told(&record))));
    let versions: Vec<u32> = before.iter().flat_map(|file| headers(file)).map(|header| number(header, 8)).collect();
    let (mut spool, recovery) = match opened {
        Ok(opened) => opened,
        Err(OpenError::Version { found, supported, .. }) => {
            assert!(!VERSIONS.contains(&found) && supported == VERSIONS[1] && versions.contains(&found) && shown.is_empty());
            let after: Vec<Vec<u8>> = segments(&disk).iter().map(|name| disk.content(name)).collect();
            assert_eq!(before, after, "the files of another version are left alone");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert!(versions.iter().all(|version| VERSIONS.contains(version)), "another version was opened");
    assert_eq!(recovery.records, shown.len() as u64);
    let epochs: BTreeSet<u64> = before.iter().flat_map(|file| headers(file)).flat_map(|h| [long(h, 16), long(h, 32)]).collect();
    for (location, record) in &shown {
        assert!(before.iter().any(|file| epochs.iter().any(|epoch| vouched(file, *location, record, *epoch))), "{record:?}");
        assert!(!sound || image().1.contains(record), "a record that nobody wrote: {record:?}");
        assert!(record.2 < recovery.next_id || record.2 == u64::MAX);
    }
    full(&shown).for_each(|location| spool.mark_live(location));
    let added = (1, Class::Full as u8, recovery.next_id, b"written after the start".to_vec());
    match spool.append_full(added.0, added.2, &added.3) {
        Err(AppendError::NoNumber) => {
            return assert!(before.iter().flat_map(|file| headers(file)).any(|h| number(h, 12) == LAST_NUMBER));
        }
        taken => taken.expect("the spool takes records"),
    };
    spool.commit().expect("the spool commits");
    drop(spool);
    let mut again = Vec::new();
    Spool::open(disk, SETTINGS, &mut |record| again.push(told(&record))).expect("the spool opens again");
    // Of the oldest segments those without a full record may be free by now.
    let first = full(&shown).next().map_or(u32::MAX, |location| location.segment);
    let kept = shown.iter().filter(|(location, _)| location.segment >= first).count() + 1;
    let expected: Vec<Shown> = shown.into_iter().map(|(_, record)| record).chain([added]).collect();
    assert!(again.len() >= kept && expected.ends_with(&again), "{again:?}, not {expected:?}");
}

fn told(record: &Recovered<'_>) -> Shown {
    (record.kind, record.class as u8, record.id, record.payload.to_vec())
}

fn full(shown: &[(Location, Shown)]) -> impl Iterator<Item = Location> {
    shown.iter().filter(|(_, record)| record.1 == Class::Full as u8).map(|(location, _)| *location)
}

fn segments(disk: &SimDisk) -> Vec<String> {
    disk.names().into_iter().filter(|name| !name.contains('/') && name.ends_with(".segment")).collect()
}

/// The copies of a header that their checksum vouches for.
fn headers(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let copies = COPIES.iter().filter_map(|at| file.get(*at..at + HEADER));
    copies.filter(|copy| &copy[..8] == b"smppgwsp" && crc32fast::hash(&copy[..60]) == number(copy, 60))
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |four| u32::from_le_bytes(*four))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight))
}

/// The checksum of a record of this epoch, its own field left out.
fn checksum(epoch: u64, record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(crc32fast::hash(&epoch.to_le_bytes()));
    hasher.update(&record[4..]);
    hasher.finalize()
}

/// Does the file hold this record at this place?
fn vouched(file: &[u8], location: Location, (kind, class, id, payload): &Shown, epoch: u64) -> bool {
    let at = location.offset as usize;
    let Some(record) = file.get(at..at + RECORD_HEADER + payload.len()) else { return false };
    (number(record, 4) as usize, long(record, 8)) == (payload.len(), *id)
        && (record[16], record[17] & !GROUP_START) == (*kind, *class)
        && record[RECORD_HEADER..] == **payload
        && number(record, 0) == checksum(epoch, record)
}

fn repair_header(file: &mut [u8]) {
    for at in COPIES {
        if let Some(copy) = file.get_mut(at..at + HEADER).filter(|copy| copy.iter().any(|octet| *octet != 0)) {
            copy[..8].copy_from_slice(b"smppgwsp");
            let checksum = crc32fast::hash(&copy[..60]);
            copy[60..].copy_from_slice(&checksum.to_le_bytes());
        }
    }
}

/// Files whose headers and records are taken from the data, two octets of length before each; with `sealed` the checksums of the
/// records are right.
fn made(mut data: &[u8], sealed: bool) -> SimDisk {
    let disk = SimDisk::new();
    for name in ["000001.segment", "000002.segment", "000003.segment"] {
        let [low, high, rest @ ..] = data else { break };
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (content, rest) = rest.split_at(length);
        data = rest;
        let (header, records) = content.split_at(HEADER.min(content.len()));
        let mut file = vec![0; SEGMENT];
        for at in COPIES {
            file[at..at + header.len()].copy_from_slice(header);
        }
        let end = SEGMENT.min(RECORDS_AT + records.len());
        file[RECORDS_AT..end].copy_from_slice(&records[..end - RECORDS_AT]);
        if sealed {
            seal(&mut file);
        }
        disk.create(name).expect("nothing fails here");
        disk.alter(name, |content| content.clone_from(&file));
    }
    disk
}

/// Gives every record the epoch and checksum it should have, as far as lengths lead.
fn seal(file: &mut [u8]) {
    let epoch = long(file, 16);
    let mut at = RECORDS_AT;
    while at + RECORD_HEADER <= file.len() {
        let end = at + RECORD_HEADER + number(file, at + 4) as usize;
        let Some(record) = file.get_mut(at..end) else { return };
        record[18..20].copy_from_slice(&epoch.to_le_bytes()[6..]);
        let checksum = checksum(epoch, record);
        record[..4].copy_from_slice(&checksum.to_le_bytes());
        at = end.next_multiple_of(4);
    }
}

/// A sound spool of several segments, and every record ever written to it.
fn image() -> &'static (SimDisk, BTreeSet<Shown>) {
    static IMAGE: OnceLock<(SimDisk, BTreeSet<Shown>)> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let (disk, mut written) = (SimDisk::new(), BTreeSet::new());
        let (mut spool, _) = Spool::open(disk.clone(), SETTINGS, &mut |_| {}).expect("an empty spool");
        for id in 1..=60u64 {
            let payload: Vec<u8> = (0..id as usize * 97 % 4000).map(|at| (at as u64 * id) as u8).collect();
            spool.append_full(1, id, &payload).expect("room");
            written.insert((1, Class::Full as u8, id, payload));
            spool.append_delta(2, id, &[7]).expect("room");
            written.insert((2, Class::Delta as u8, id, vec![7]));
            if id % 7 == 0 {
                spool.commit().expect("nothing fails here");
            }
        }
        spool.commit().expect("nothing fails here");
        (disk, written)
    })
}

/// The sound spool with changes of four octets each: which file, where, and what is changed there.
fn changed(data: &[u8]) -> SimDisk {
    let disk = image().0.crash(true, &mut |_| Landed::Yes);
    let names = segments(&disk);
    for [which, high, low, flip] in data.as_chunks().0 {
        let at = usize::from(u16::from_be_bytes([*high, *low]));
        let name = &names[usize::from(*which) % names.len()];
        match flip {
            0 if *which >= 0xC0 => drop(disk.remove(name)),
            0 => disk.alter(name, |content| content.truncate(at)),
            _ => disk.alter(name, |content| {
                if let Some(octet) = content.get_mut(at) {
                    *octet ^= flip;
                }
            }),
        }
    }
    disk
}
