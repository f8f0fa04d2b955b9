use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { total: 6, per_source: 3 };

fn source(number: u32) -> Source {
    Source::of(std::net::Ipv4Addr::from_bits(number).into())
}

fn enter(places: &mut Places, from: u32) -> (Id, Option<Id>) {
    places.enter(source(from), LIMITS).expect("a place")
}

#[test]
fn bound_connections_keep_their_places_and_a_newcomer_beyond_the_limit_gets_none() {
    let mut places = Places::default();
    for _ in 0..3 {
        let (id, gives_way) = enter(&mut places, 1);
        assert_eq!(gives_way, None);
        assert!(places.bound(id));
    }
    assert_eq!(places.enter(source(1), LIMITS), None);
    assert!(places.enter(source(2), LIMITS).is_some(), "another address is not concerned");
}

#[test]
fn a_newcomer_takes_the_place_of_one_that_was_refused_then_of_a_silent_one_then_of_one_that_asks() {
    let mut places = Places::default();
    let (first, _) = enter(&mut places, 1);
    let (second, _) = enter(&mut places, 1);
    let (third, _) = enter(&mut places, 1);
    places.asking(first);
    places.refused(second);
    assert_eq!(enter(&mut places, 1).1, Some(second));
    let (fifth, gives_way) = enter(&mut places, 1);
    assert_eq!(gives_way, Some(third), "the oldest asks");
    places.asking(fifth);
    assert!(enter(&mut places, 1).1.is_some_and(|silent| silent > third));
    assert!(places.bound(fifth));
    let (seventh, _) = enter(&mut places, 1);
    places.asking(seventh);
    assert_eq!(enter(&mut places, 1).1, Some(first), "the oldest that asks, since the others are bound or asked later");
    assert!(!places.bound(second), "a bind that comes too late finds its place gone");
}

#[test]
fn silent_connections_from_everywhere_keep_nobody_out() {
    let mut places = Places::default();
    let crowd: Vec<Id> = (0..6).map(|from| enter(&mut places, from).0).collect();
    let (id, gives_way) = enter(&mut places, 100);
    assert_eq!(gives_way, Some(crowd[0]));
    assert!(places.bound(id));
}

#[test]
fn one_that_gave_way_leaves_nothing_behind_and_takes_nothing_along() {
    let mut places = Places::default();
    let (first, _) = enter(&mut places, 1);
    enter(&mut places, 1);
    enter(&mut places, 1);
    assert_eq!(enter(&mut places, 1).1, Some(first));
    places.leave(first);
    assert_eq!(places.by_source[&source(1)].count, 3);
}

#[derive(Debug, Clone)]
enum Step {
    Enter(u32),
    Asking(usize),
    Refused(usize),
    Bound(usize),
    Leave(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4u32).prop_map(Step::Enter),
        (0..20usize).prop_map(Step::Asking),
        (0..20usize).prop_map(Step::Refused),
        (0..20usize).prop_map(Step::Bound),
        (0..20usize).prop_map(Step::Leave),
    ]
}

proptest! {
    #[test]
    fn the_limits_hold_and_nothing_is_remembered_of_those_that_left(steps in prop::collection::vec(step(), 0..200)) {
        let (mut places, mut ids, mut bound) = (Places::default(), Vec::new(), BTreeSet::new());
        for step in steps {
            match step {
                Step::Enter(from) => if let Some((id, gives_way)) = places.enter(source(from), LIMITS) {
                    prop_assert!(gives_way.is_none_or(|other| !bound.contains(&other)), "a bound session keeps its place");
                    ids.push(id);
                },
                Step::Asking(at) => if let Some(id) = ids.get(at).filter(|id| !bound.contains(*id)) { places.asking(*id) },
                Step::Refused(at) => if let Some(id) = ids.get(at).filter(|id| !bound.contains(*id)) { places.refused(*id) },
                Step::Bound(at) => if let Some(id) = ids.get(at) && places.bound(*id) { bound.insert(*id); },
                Step::Leave(at) => if let Some(id) = ids.get(at) { places.leave(*id); bound.remove(id); },
            }
            prop_assert!(places.taken.len() <= LIMITS.total);
            prop_assert!(places.by_source.values().all(|here| (1..=LIMITS.per_source).contains(&here.count)));
            prop_assert_eq!(places.by_source.values().map(|here| here.count).sum::<usize>(), places.taken.len());
            prop_assert_eq!(places.unbound.len(), places.taken.values().filter(|(_, standing)| standing.is_some()).count());
            prop_assert!(bound.iter().all(|id| places.holds(*id)));
        }
        ids.iter().for_each(|id| places.leave(*id));
        prop_assert!(places.taken.is_empty() && places.by_source.is_empty() && places.unbound.is_empty());
    }
}
