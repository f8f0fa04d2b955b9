//! What the seeds have found, each as a story of its own.

use std::time::Duration;

use tokio::time::sleep;

use crate::app::Wanted;
use crate::centre::Habits;
use crate::disk::Weather;
use crate::node::Node;
use crate::run::{Faults, Report, Scene, tell};
use crate::seeds::{check, timed};

const NOTHING: Faults = Faults {
    network: false,
    operators: false,
    applications: false,
    disk: false,
    crashes: false,
    reloads: false,
    damage: false,
    holes: false,
    lies: false,
};

fn told(story: impl AsyncFnOnce(&mut Scene, Node) -> Option<Node>) -> Report {
    timed(1, || tell(1, NOTHING, false, story))
}

/// The end of a limit lay in the past, and woke the bind again and again.
#[test]
fn a_bind_that_was_slowed_down_stops_without_waking_itself_for_ever() {
    check(&told(async |scene, mut node| {
        for centre in &scene.centres {
            centre.set_habits(Habits { throttles: 90, late: 4000, ..Habits::default() });
        }
        sleep(Duration::from_secs(10)).await;
        if !node.stop(Duration::from_secs(20)).await {
            scene.world.violation(format_args!("the gateway did not stop"));
        }
        scene.count(&node);
        scene.start().await
    }));
}

/// Moving to another operator, it was sent at once.
#[test]
fn a_scheduled_message_keeps_its_time_when_its_operator_is_removed() {
    check(&told(async |scene, node| {
        let scheduled =
            Wanted { prefix: "35840", length: 20, wide: false, receipt: 1, validity: None, delay: Some(30), data: false };
        scene.apps[0].want(scheduled);
        sleep(Duration::from_secs(5)).await;
        scene.layout = scene.layout.without(0);
        node.reload(scene.config());
        sleep(Duration::from_secs(10)).await;
        scene.layout = scene.layout.whole();
        node.reload(scene.config());
        Some(node)
    }));
}

/// A long message whose parts were all in flight counted as one.
#[test]
fn every_part_that_may_be_sent_twice_is_counted() {
    check(&told(async |scene, node| {
        for centre in &scene.centres {
            centre.set_habits(Habits { drops: 20, late: 1000, ..Habits::default() });
        }
        let long = Wanted { prefix: "35840", length: 600, wide: false, receipt: 0, validity: None, delay: None, data: false };
        (0..20).for_each(|_| scene.apps[0].want(long.clone()));
        sleep(Duration::from_secs(20)).await;
        Some(node)
    }));
}

/// The late answer counted as a part of what the other operator had taken whole: the message was never finished.
#[test]
fn a_late_answer_is_not_mixed_up_with_what_another_operator_took() {
    for seed in [3, 4] {
        let report = timed(seed, move || {
            tell(seed, NOTHING, false, async |scene, node| {
                scene.layout = scene.layout.unalike();
                node.reload(scene.config());
                sleep(Duration::from_secs(5)).await;
                scene.centres[0].set_habits(Habits { late: 60_000, receipt_delay: 2_000, ..Habits::default() });
                scene.centres[1].set_habits(Habits { late: 100, receipt_delay: 60_000, ..Habits::default() });
                let long =
                    Wanted { prefix: "35840", length: 300, wide: false, receipt: 1, validity: None, delay: None, data: false };
                (0..10).for_each(|_| scene.apps[0].want(long.clone()));
                sleep(Duration::from_secs(60)).await;
                Some(node)
            })
        });
        check(&report);
    }
}

/// Nothing could be made durable for two minutes, an operator's MO messages came again and again meanwhile, and each copy was kept
/// until the disk was well.
#[test]
fn a_handsets_message_does_not_arrive_as_often_as_it_came_while_the_disk_failed() {
    check(&told(async |scene, node| {
        sleep(Duration::from_secs(5)).await;
        scene.judge.book().disk_failed = true;
        scene.drive.set_weather(Weather { write_errors: 100, sync_errors: 100, ..Weather::default() });
        scene.apps[0].want(Wanted {
            prefix: "35840",
            length: 20,
            wide: false,
            receipt: 1,
            validity: None,
            delay: None,
            data: false,
        });
        sleep(Duration::from_secs(5)).await;
        for _ in 0..5 {
            scene.centres[0].write_mobile();
        }
        sleep(Duration::from_secs(120)).await;
        scene.drive.set_weather(Weather::default());
        sleep(Duration::from_secs(60)).await;
        Some(node)
    }));
}

/// Each fdatasync took longer than operators wait for an answer, their MO messages came again and again meanwhile, and each copy was
/// kept.
#[test]
fn handsets_messages_do_not_arrive_as_often_as_they_came_while_the_disk_was_slow() {
    const WRITTEN: usize = 30;
    check(&told(async |scene, node| {
        sleep(Duration::from_secs(5)).await;
        scene.judge.book().disk_slow = true;
        scene.drive.set_weather(Weather { slow: 60_000, ..Weather::default() });
        (0..WRITTEN).for_each(|_| scene.centres[0].write_mobile());
        sleep(Duration::from_secs(300)).await;
        scene.drive.set_weather(Weather::default());
        sleep(Duration::from_secs(60)).await;
        let arrivals: Vec<usize> = scene.judge.book().mobiles.iter().map(|mobile| mobile.arrivals.len()).collect();
        let (all, most) = (arrivals.iter().sum::<usize>(), arrivals.iter().max().copied().unwrap_or_default());
        if most > 4 || all > 2 * WRITTEN {
            scene.world.violation(format_args!("{all} arrivals of {WRITTEN} MO messages: {arrivals:?}"));
        }
        Some(node)
    }));
}
