//! Tests of the crash harness itself: a harness that loses too little finds nothing.
#![cfg(feature = "std")]

mod common;

use common::crash::{
    CrashImages, CrashState, Fate, Fault, Op, Pending, Recording, RecordingBackend, Standing, Storm, Target,
};
use common::rng::Rng;
use sapwood::StorageBackend;
use std::collections::BTreeSet;
use std::io::ErrorKind;

fn storage(len: u64) -> RecordingBackend {
    RecordingBackend::from_image(vec![0; len as usize])
}

fn cut_at(recording: &Recording, cut: usize) -> CrashImages<'_> {
    let mut images = CrashImages::new(recording);
    images.seek(cut);
    images
}

fn at_end(recording: &Recording) -> CrashImages<'_> {
    cut_at(recording, recording.log.len())
}

fn storm(sector: usize) -> Storm {
    Storm { sector, ..Storm::dropping() }
}

fn every(images: &CrashImages<'_>) -> BTreeSet<Vec<u8>> {
    images.every_power_loss().collect()
}

#[test]
fn keeps_the_contract_of_a_storage() {
    sapwood::backends::check_backend(RecordingBackend::new).unwrap();
}

#[test]
fn records_in_order_with_marks() {
    let backend = storage(4);
    backend.write(1, b"ab").unwrap();
    backend.sync_data().unwrap();
    backend.mark(7);
    backend.set_len(9).unwrap();
    let expected = [Op::Write { offset: 1, data: b"ab"[..].into() }, Op::Sync, Op::Mark(7), Op::SetLen { len: 9 }];
    assert_eq!(backend.recording().log, expected);
    assert_eq!(backend.recording().start, CrashState::durable(vec![0; 4]));
    backend.restart();
    assert!(backend.recording().log.is_empty());
    assert_eq!(backend.recording().start.base, b"\0ab\0");
    assert_eq!(backend.recording().start.pending.len(), 1);
    assert_eq!(backend.clone().contents(), b"\0ab\0\0\0\0\0\0");
}

#[test]
fn synced_operations_survive_every_power_loss() {
    let backend = storage(8192);
    backend.write(0, &[1; 4096]).unwrap();
    backend.sync_data().unwrap();
    backend.write(4096, &[2; 4096]).unwrap();
    let recording = backend.recording();
    let images = at_end(&recording);
    let mut rng = Rng::new(1);
    for _ in 0..200 {
        let image = images.power_loss(&mut rng);
        assert_eq!(image.len(), 8192);
        assert!(image[..4096].iter().all(|byte| *byte == 1));
    }
    assert_eq!(cut_at(&recording, 0).power_loss(&mut rng), vec![0; 8192]);
}

#[test]
fn unsynced_writes_are_lost_independently_and_kept_in_order() {
    let backend = storage(3);
    backend.write(0, b"a").unwrap();
    backend.write(1, b"b").unwrap();
    backend.write(0, b"c").unwrap();
    let recording = backend.recording();
    let expected = ["\0\0\0", "a\0\0", "\0b\0", "ab\0", "c\0\0", "cb\0"];
    assert_eq!(every(&at_end(&recording)), expected.map(|image| image.as_bytes().to_vec()).into());
    assert_eq!(every(&cut_at(&recording, 1)).len(), 2);
}

#[test]
fn a_lost_growth_loses_or_keeps_the_writes_beyond() {
    let backend = storage(1);
    backend.set_len(4).unwrap();
    backend.write(0, b"wxyz").unwrap();
    let recording = backend.recording();
    let images = at_end(&recording);
    let growth_lost = |_, op: &Op| if matches!(op, Op::SetLen { .. }) { Fate::Dropped } else { Fate::Kept };
    assert_eq!(images.power_loss_in(&storm(512), growth_lost), b"w");
    let extending = Storm { extends: true, ..storm(512) };
    assert_eq!(images.power_loss_in(&extending, growth_lost), b"wxyz");
    assert_eq!(images.power_loss_in(&storm(512), |_, _| Fate::Kept), b"wxyz");
}

#[test]
fn a_shrink_cuts_or_is_lost() {
    let backend = RecordingBackend::from_image(b"wxyz".to_vec());
    backend.set_len(1).unwrap();
    backend.set_len(3).unwrap();
    let expected = [&b"wxyz"[..], b"w", b"wxy", b"w\0\0"].map(<[u8]>::to_vec);
    assert_eq!(every(&at_end(&backend.recording())), expected.into());
}

#[test]
fn torn_writes_are_new_or_old_sector_by_sector() {
    for sector in [512, 4096] {
        let backend = storage(16384);
        backend.write(100, &[1; 16000]).unwrap();
        let recording = backend.recording();
        let images = at_end(&recording);
        let mut mixed = 0;
        for seed in 0..100 {
            let image = images.power_loss_in(&storm(sector), |_, _| Fate::Torn(seed));
            for (index, part) in image.chunks(sector).enumerate() {
                let written = (100.max(index * sector)..16100.min((index + 1) * sector)).len();
                let new = part.iter().filter(|byte| **byte == 1).count();
                assert!(new == 0 || new == written, "sector {index}: {new} of {written}");
            }
            mixed += usize::from(image.contains(&1) && image.iter().filter(|byte| **byte == 1).count() < 16000);
        }
        assert!(mixed > 50);
    }
}

#[test]
fn garbage_stays_within_what_was_written_unless_asked() {
    let backend = RecordingBackend::from_image(vec![3; 2048]);
    backend.write(600, &[1; 800]).unwrap();
    let recording = backend.recording();
    let images = at_end(&recording);
    let mut spoilt = 0;
    let mut neighbours = 0;
    for seed in 0..200 {
        let image = images.power_loss_in(&storm(512), |_, _| Fate::Garbage(seed));
        assert!(image[..600].iter().chain(&image[1400..]).all(|byte| *byte == 3));
        spoilt += usize::from(image.iter().any(|byte| !matches!(byte, 1 | 3)));
        let harsh = Storm { neighbours: true, ..storm(512) };
        let image = images.power_loss_in(&harsh, |_, _| Fate::Garbage(seed));
        assert!(image[..512].iter().chain(&image[1536..]).all(|byte| *byte == 3));
        neighbours += usize::from(image[512..600].iter().any(|byte| *byte != 3));
    }
    assert!(spoilt > 50 && neighbours > 30, "{spoilt} {neighbours}");
}

#[test]
fn an_unsynced_growth_may_hold_garbage_and_a_synced_one_may_not() {
    let backend = RecordingBackend::from_image(vec![3; 1000]);
    backend.set_len(20_000).unwrap();
    let recording = backend.recording();
    let dirty = at_end(&recording).power_loss_in(&storm(512), |_, _| Fate::Garbage(5));
    assert_eq!((dirty.len(), &dirty[..1000]), (20_000, &[3; 1000][..]));
    assert!(dirty[1000..].iter().any(|byte| *byte != 0));
    backend.sync_data().unwrap();
    let clean = at_end(&backend.recording()).power_loss(&mut Rng::new(1));
    assert!(clean[1000..].iter().all(|byte| *byte == 0));
}

#[test]
fn random_storms_reach_every_kind_of_fate() {
    let mut rng = Rng::new(3);
    let mut seen = [0; 4];
    for _ in 0..2000 {
        match Storm::random(&mut rng).fate(&mut rng) {
            Fate::Kept => seen[0] += 1,
            Fate::Dropped => seen[1] += 1,
            Fate::Torn(_) => seen[2] += 1,
            Fate::Garbage(_) => seen[3] += 1,
        }
    }
    assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
}

#[test]
fn after_a_kill_everything_is_there_and_may_still_be_lost() {
    let backend = storage(2);
    backend.write(0, b"a").unwrap();
    backend.sync_data().unwrap();
    backend.write(1, b"b").unwrap();
    let killed = backend.kill();
    assert_eq!(killed.base, b"a\0");
    assert_eq!(killed.contents(), b"ab");

    let next = RecordingBackend::from_state(killed);
    assert_eq!(next.contents(), b"ab");
    assert_eq!(every(&at_end(&next.recording())), [b"a\0".to_vec(), b"ab".to_vec()].into());
    next.write(0, b"c").unwrap();
    next.sync_data().unwrap();
    assert_eq!(every(&at_end(&next.recording())), [b"cb".to_vec()].into());
    // A second kill before the sync leaves both sessions' operations pending.
    let recording = next.recording();
    assert_eq!(cut_at(&recording, 1).kill().pending.len(), 2);
}

#[test]
fn a_kill_within_a_write_leaves_its_first_pages() {
    let backend = storage(20_000);
    backend.write(1000, &[1; 10_000]).unwrap();
    let recording = backend.recording();
    let images = cut_at(&recording, 0);
    let mut rng = Rng::new(2);
    let ends: BTreeSet<usize> = (0..100)
        .map(|_| images.kill_in_write(&mut rng).unwrap().contents())
        .map(|image| image.iter().rposition(|byte| *byte == 1).unwrap() + 1)
        .collect();
    assert_eq!(ends, [4096, 8192, 11_000].into());
    assert!(at_end(&recording).kill_in_write(&mut rng).is_none());
}

#[test]
fn a_later_sync_does_not_help_what_a_failed_one_covered() {
    let backend = storage(2);
    backend.inject(Fault::once(Target::Sync, 0));
    backend.write(0, b"a").unwrap();
    backend.sync_data().unwrap_err();
    backend.write(1, b"b").unwrap();
    backend.sync_data().unwrap();
    let recording = backend.recording();
    let images = at_end(&recording);
    let standings: Vec<_> = images.pending().iter().map(|pending: &Pending| pending.standing).collect();
    assert_eq!(standings, [Standing::Doubtful, Standing::Certain]);
    assert_eq!(every(&images), [b"\0b".to_vec(), b"ab".to_vec()].into());
    // A process that dies takes the knowledge with it.
    let next = RecordingBackend::from_state(images.kill());
    next.sync_data().unwrap();
    assert_eq!(every(&at_end(&next.recording())), [b"ab".to_vec()].into());
}

#[test]
fn faults_strike_the_nth_operation() {
    let backend = storage(8);
    backend.inject(Fault::once(Target::Write, 1));
    backend.write(0, b"a").unwrap();
    backend.write(1, b"b").unwrap_err();
    backend.write(2, b"c").unwrap();
    backend.inject(Fault { partial: true, ..Fault::once(Target::Write, 0) });
    backend.write(4, b"defg").unwrap_err();
    assert_eq!(backend.contents(), b"a\0c\0de\0\0");
    backend.inject(Fault::lasting(Target::SetLen, 0));
    for _ in 0..3 {
        backend.set_len(9).unwrap_err();
    }
    backend.heal();
    backend.limit(10);
    backend.set_len(10).unwrap();
    assert_eq!(backend.set_len(11).unwrap_err().kind(), ErrorKind::StorageFull);
    backend.inject(Fault::once(Target::Read, 0));
    backend.read(0, &mut [0; 1]).unwrap_err();
    backend.read(0, &mut [0; 1]).unwrap();
    assert_eq!(at_end(&backend.recording()).pending().len(), 4);
}

#[test]
fn counts_and_lists_reads() {
    let backend = storage(100);
    backend.read(10, &mut [0; 20]).unwrap();
    backend.write(0, &[1; 7]).unwrap();
    backend.sync_data().unwrap();
    backend.set_len(101).unwrap();
    let counters = backend.take_counters();
    assert_eq!((counters.reads.as_slice(), counters.bytes_read()), (&[(10, 20)][..], 20));
    assert_eq!((counters.writes, counters.bytes_written), (1, 7));
    assert_eq!((counters.syncs, counters.set_lens, counters.closes), (1, 1, 0));
    assert_eq!(backend.counters(), common::crash::Counters::default());
}

#[test]
fn tells_of_writes_past_the_end_and_of_use_after_close() {
    let backend = storage(8);
    backend.read(7, &mut [0; 2]).unwrap_err();
    assert!(backend.violations().is_empty());
    backend.write(7, b"ab").unwrap_err();
    backend.close().unwrap();
    backend.read(0, &mut [0; 1]).unwrap();
    backend.close().unwrap();
    assert_eq!(backend.violations(), ["write of 2 bytes at 7 of 8", "read after close", "close after close"]);
}

#[test]
fn advance_stops_once_an_operation_with_its_marks_behind_it() {
    let backend = storage(4);
    backend.mark(1);
    backend.write(0, b"a").unwrap();
    backend.sync_data().unwrap();
    backend.mark(2);
    backend.mark(3);
    backend.write(1, b"b").unwrap();
    let recording = backend.recording();
    let mut images = CrashImages::new(&recording);
    let mut stops = vec![];
    while images.advance() {
        stops.push((images.at(), images.last_mark()));
    }
    assert_eq!(stops, [(2, Some(1)), (5, Some(3)), (6, Some(3))]);
    assert_eq!(images.marks(), [1, 2, 3]);
    images.seek(1);
    assert_eq!((images.at(), images.pending().len(), images.marks()), (1, 0, &[1][..]));
}

/// A store of one number in two slots, written in turn, each with a check: enough to tell a harness
/// that loses too much from one that loses too little.
struct Slots(RecordingBackend);

impl Slots {
    fn commit(&self, number: u64, synced: bool) {
        let mut slot = [0; 1024];
        slot[..8].copy_from_slice(&number.to_le_bytes());
        slot[1016..].copy_from_slice(&number.wrapping_mul(0x9E37_79B9).to_le_bytes());
        self.0.write(number % 2 * 1024, &slot).unwrap();
        if synced {
            self.0.sync_data().unwrap();
        }
        self.0.mark(number);
    }

    fn read(image: &[u8]) -> u64 {
        let number = |at: usize| u64::from_le_bytes(image[at..at + 8].try_into().unwrap());
        let slot = |at| Some(number(at)).filter(|found| number(at + 1016) == found.wrapping_mul(0x9E37_79B9));
        slot(0).max(slot(1024)).unwrap_or(0)
    }

    /// How many of the crash images do not hold the last number acknowledged, or the next.
    fn failures(synced: bool) -> usize {
        let slots = Slots(storage(2048));
        (1..=100).for_each(|number| slots.commit(number, synced));
        let recording = slots.0.recording();
        let mut images = CrashImages::new(&recording);
        let mut rng = Rng::new(9);
        let mut failures = 0;
        while images.advance() {
            let acknowledged = images.last_mark().unwrap_or(0);
            failures += (0..20)
                .filter(|_| {
                    let found = Self::read(&images.power_loss(&mut rng));
                    found != acknowledged && found != acknowledged + 1
                })
                .count();
        }
        failures
    }
}

#[test]
fn a_store_that_syncs_passes_and_one_that_does_not_fails() {
    assert_eq!(Slots::failures(true), 0);
    assert!(Slots::failures(false) > 500);
}

#[test]
fn images_are_cheap() {
    let backend = storage(1 << 20);
    let mut rng = Rng::new(4);
    for _ in 0..50 {
        for _ in 0..8 {
            backend.write(rng.below(255) * 4096, &rng.clone().bytes(4096)).unwrap();
        }
        backend.sync_data().unwrap();
    }
    let recording = backend.recording();
    let mut images = CrashImages::new(&recording);
    let begun = std::time::Instant::now();
    let mut made = 0;
    while images.advance() {
        made += (0..4).filter(|_| images.power_loss(&mut rng).len() == 1 << 20).count();
    }
    assert_eq!(made, 450 * 4);
    // 50,000 of them would take some seconds; the bound is loose for a busy machine.
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}
