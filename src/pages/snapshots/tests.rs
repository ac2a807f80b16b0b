use super::*;
use crate::pages::test_rng::Rng;

/// What the rule says, page by page.
#[derive(Default)]
struct Model {
    /// Pages of the newest state and their births.
    linked: BTreeMap<PageNumber, TxnId>,
    /// Page, birth, id of the unlinking.
    unlinked: Vec<(PageNumber, TxnId, TxnId)>,
    live: Vec<TxnId>,
    free: BTreeSet<PageNumber>,
}

impl Model {
    fn apply_rule(&mut self) {
        let Self { unlinked, live, free, .. } = self;
        unlinked.retain(|(page, birth, unlinked_at)| {
            let needed = live.iter().any(|id| birth <= id && id < unlinked_at);
            needed || !free.insert(*page)
        });
    }
}

#[derive(Default)]
struct Walk {
    head: TxnId,
    snapshots: Snapshots,
    kept: KeptSets,
    free: PageSet,
    model: Model,
}

impl Walk {
    fn new(pages: u32) -> Self {
        let mut walk = Self { head: 1, ..Self::default() };
        walk.free.insert_range(0, pages);
        walk.model.free.extend(0..pages);
        walk
    }

    fn check(&self) {
        let kept: BTreeSet<u32> = self.model.unlinked.iter().map(|(page, ..)| *page).collect();
        let ours: Vec<u32> = self.kept.iter_ranges().flat_map(|(start, pages)| start..start + pages).collect();
        assert_eq!((ours.len(), ours.into_iter().collect()), (self.model.unlinked.len(), kept));
        let free = self.free.iter_ranges().flat_map(|(start, pages)| start..start + pages);
        assert!(free.eq(self.model.free.iter().copied()));
        let live: BTreeSet<TxnId> = self.model.live.iter().copied().collect();
        assert!(self.snapshots.live.keys().eq(&live));
        assert!(
            self.kept.sets.iter().all(|(pair, set)| { set.len() != 0 && live.contains(&pair.0) && pair.1 <= pair.0 })
        );
        assert_eq!(self.kept.words, self.kept.sets.values().map(PageSet::words).sum());
    }

    /// Writes and unlinks pages under a new id, some of them in one go; the id becomes the head.
    fn commit(&mut self, rng: &mut Rng) {
        let id = self.head + 1 + u64::from(rng.below(2));
        for _ in 0..rng.below(6) {
            let Some(page) = self.model.free.range(rng.below(200)..).next().copied() else { break };
            self.model.free.remove(&page);
            self.free.remove_range(page, 1);
            self.model.linked.insert(page, id);
        }
        for _ in 0..rng.below(6) {
            let Some((&page, &birth)) = self.model.linked.range(rng.below(200)..).next() else { break };
            let pages = (page..page + 3).take_while(|page| self.model.linked.get(page) == Some(&birth)).count() as u32;
            let mut free = |start, pages| assert_eq!(self.free.insert_range(start, pages), pages);
            self.kept.keep_or_free(&self.snapshots, birth, id, page, pages, &mut free);
            for page in page..page + pages {
                self.model.linked.remove(&page);
                self.model.unlinked.push((page, birth, id));
            }
        }
        self.model.apply_rule();
        self.head = id;
    }

    fn add(&mut self, rng: &mut Rng) {
        let again = self.model.live.get(rng.below(20) as usize).copied();
        let id = again.unwrap_or(self.head);
        self.snapshots.add(id, None);
        self.model.live.push(id);
    }

    fn drop(&mut self, rng: &mut Rng) {
        let mut dead = BTreeSet::new();
        for _ in 0..=rng.below(3) {
            if self.model.live.is_empty() {
                break;
            }
            let id = self.model.live.swap_remove(rng.below(self.model.live.len() as u32) as usize);
            let last = self.snapshots.drop(id);
            assert_eq!(last, !self.model.live.contains(&id));
            dead.extend(last.then_some(id));
        }
        let mut free = |start, pages| assert_eq!(self.free.insert_range(start, pages), pages);
        self.kept.dropped(&self.snapshots, &dead, &mut free);
        self.model.apply_rule();
    }
}

#[test]
fn kept_and_free_pages_follow_the_rule() {
    for seed in 1..=20 {
        let (mut rng, mut walk) = (Rng(seed), Walk::new(200));
        for _ in 0..1500 {
            match rng.below(18) {
                0..8 => walk.commit(&mut rng),
                8..13 => walk.add(&mut rng),
                _ => walk.drop(&mut rng),
            }
            walk.check();
        }
        while !walk.model.live.is_empty() {
            walk.drop(&mut rng);
            walk.check();
        }
        assert_eq!(walk.kept.iter_ranges().count(), 0);
    }
}

#[test]
fn snapshots_count_their_holders() {
    let mut snapshots = Snapshots::default();
    for id in [3, 5, 5, 9] {
        snapshots.add(id, None);
    }
    assert_eq!((snapshots.pair_in(4..9), snapshots.pair_in(0..9)), (Some((5, 5)), Some((3, 5))));
    let backwards = Range { start: 9, end: 3 };
    assert_eq!((snapshots.pair_in(6..9), snapshots.pair_in(backwards)), (None, None));
    assert_eq!((snapshots.drop(5), snapshots.drop(5), snapshots.drop(5)), (false, true, false));
    assert!(snapshots.live.keys().eq(&[3, 9]));
}

/// A thousand snapshots live at a time, one commit each, dropped in random order.
#[test]
fn many_snapshots_and_commits() {
    let mut rng = Rng(9);
    let (mut snapshots, mut kept, mut live) = (Snapshots::default(), KeptSets::default(), Vec::new());
    let mut births = alloc::vec![1; 10_000];
    let (mut unlinked, mut freed) = (0, 0);
    let mut free = |_, pages: u32| freed += u64::from(pages);
    for head in 1..10_000 {
        snapshots.add(head, None);
        live.push(head);
        if live.len() > 1_000 {
            let id = live.swap_remove(rng.below(1_000) as usize);
            assert!(snapshots.drop(id));
            kept.dropped(&snapshots, &BTreeSet::from([id]), &mut free);
        }
        for _ in 0..20 {
            // Page numbers are not used again here, so that kept pages never clash.
            let birth = core::mem::replace(&mut births[rng.below(10_000) as usize], head + 1);
            kept.keep_or_free(&snapshots, birth, head + 1, unlinked, 1, &mut free);
            unlinked += 1;
        }
    }
    assert!(kept.iter_ranges().map(|(_, pages)| pages).sum::<u32>() > 10_000);
    for id in live {
        assert!(snapshots.drop(id));
        kept.dropped(&snapshots, &BTreeSet::from([id]), &mut free);
    }
    assert_eq!((kept.iter_ranges().count(), freed), (0, u64::from(unlinked)));
}

/// What is shed is forgotten, pages that only its snapshots needed are in the range that is told, and the rest goes on
/// as if nothing had happened.
#[test]
fn sets_beyond_the_budget_are_shed_largest_first() {
    for seed in 1..=20 {
        let (mut rng, mut walk) = (Rng(seed), Walk::new(2000));
        for _ in 0..60 {
            walk.add(&mut rng);
            (0..5).for_each(|_| walk.commit(&mut rng));
        }
        let before = walk.kept.clone();
        assert_eq!(walk.kept.shed(before.bytes()), None);
        let budget = before.bytes() * 3 / 4;
        let (oldest, newest) = walk.kept.shed(budget).expect("they take more");
        assert!(walk.kept.bytes() <= budget / 2);
        let stays = |pair: &Pair| walk.kept.sets.get(&(pair.1, pair.0));
        let (stay, shed): (Vec<_>, Vec<_>) = before.iter().partition(|(pair, _)| stays(pair).is_some());
        assert!(shed.iter().all(|(pair, _)| oldest <= pair.0 && pair.1 <= newest));
        assert!(stay.iter().all(|(pair, set)| stays(pair) == Some(*set)));
        let smallest = shed.iter().map(|(_, set)| set.words()).min();
        assert!(smallest >= stay.iter().map(|(_, set)| set.words()).max());
        let mut again = walk.kept.clone();
        shed.into_iter().for_each(|(pair, set)| {
            set.iter_ranges().for_each(|(start, pages)| again.keep(pair, start, pages));
        });
        assert_eq!((&again.sets, again.words), (&before.sets, before.words));
        walk.kept = KeptSets::default();
        walk.kept.absorb(again);
        walk.check();
    }
}
