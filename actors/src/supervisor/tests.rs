//! Actors that panic, end, hang, and fail for good.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Crew, Ended, Fatal, Member, RESTARTS_MAX, Running, Waiting};

#[derive(Debug)]
enum Order {
    Panic,
    Fail,
    FailForGood,
    End,
    Hang,
    Ping(RpcReplyPort<()>),
}

struct Sailor;

/// Says when one is dropped, which is where cleanup belongs.
struct Aboard(mpsc::UnboundedSender<&'static str>);

impl Drop for Aboard {
    fn drop(&mut self) {
        let _ = self.0.send("left");
    }
}

impl Actor for Sailor {
    type Msg = Order;
    type State = Aboard;
    type Arguments = mpsc::UnboundedSender<&'static str>;

    async fn pre_start(
        &self,
        _: ActorRef<Order>,
        log: Self::Arguments,
    ) -> Result<Aboard, ActorProcessingErr> {
        log.send("came")?;
        Ok(Aboard(log))
    }

    async fn handle(
        &self,
        myself: ActorRef<Order>,
        order: Order,
        _: &mut Aboard,
    ) -> Result<(), ActorProcessingErr> {
        match order {
            Order::Panic => panic!("as ordered"),
            Order::Fail => return Err("as ordered".into()),
            Order::FailForGood => return Err(Fatal("the disk is gone".to_owned()).into()),
            Order::End => myself.stop(None),
            Order::Hang => std::future::pending().await,
            Order::Ping(answer) => answer.send(())?,
        }
        Ok(())
    }
}

/// Two sailors; the latest first one is where orders go.
struct Boat {
    first: Arc<Mutex<Option<ActorRef<Order>>>>,
    log: mpsc::UnboundedSender<&'static str>,
}

impl Crew for Boat {
    fn start(&self, supervisor: ActorCell) -> Waiting<Result<Vec<Member>, ActorProcessingErr>> {
        let (first, log) = (Arc::clone(&self.first), self.log.clone());
        Box::pin(async move {
            let mut members = Vec::new();
            for name in ["first", "second"] {
                let started = Actor::spawn_linked(None, Sailor, log.clone(), supervisor.clone());
                let (actor, _) = started.await?;
                if name == "first" {
                    *first.lock().expect("no poison") = Some(actor.clone());
                }
                members.push(Member {
                    name,
                    cell: actor.get_cell(),
                    ask: Arc::new(move |port| actor.send_message(Order::Ping(port)).is_ok()),
                });
            }
            Ok(members)
        })
    }
}

struct Fixture {
    node: Running,
    first: Arc<Mutex<Option<ActorRef<Order>>>>,
    log: mpsc::UnboundedReceiver<&'static str>,
}

impl Fixture {
    async fn new() -> Self {
        let (sender, log) = mpsc::unbounded_channel();
        let first = Arc::new(Mutex::new(None));
        let boat = Boat {
            first: Arc::clone(&first),
            log: sender,
        };
        let node = Running::start(boat).await.expect("a crew");
        let mut fixture = Self { node, first, log };
        fixture.expect(&["came", "came"]).await;
        fixture
    }

    fn order(&self, order: Order) {
        let first = self.first.lock().expect("no poison").clone();
        first
            .expect("a sailor")
            .send_message(order)
            .expect("it is there");
    }

    async fn expect(&mut self, said: &[&str]) {
        for expected in said {
            let found = tokio::time::timeout(Duration::from_secs(30), self.log.recv()).await;
            assert_eq!(found.expect("in time"), Some(*expected));
        }
    }
}

const AGAIN: [&str; 4] = ["left", "left", "came", "came"];

#[tokio::test(start_paused = true)]
async fn one_that_fails_takes_the_crew_with_it_and_all_are_back_within_a_second() {
    for order in [Order::Panic, Order::Fail, Order::End] {
        let mut fixture = Fixture::new().await;
        let before = Instant::now();
        fixture.order(order);
        fixture.expect(&AGAIN).await;
        assert!(before.elapsed() < Duration::from_secs(1));
        fixture.node.stop();
        assert_eq!(fixture.node.ended().await, Ended::Asked);
        fixture.expect(&["left", "left"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_replaced_within_fifteen_seconds() {
    let mut fixture = Fixture::new().await;
    let before = Instant::now();
    fixture.order(Order::Hang);
    fixture.expect(&AGAIN).await;
    let took = before.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert!(took > Duration::from_secs(5), "it was given time: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_sixth_failure_within_a_minute_ends_the_node() {
    let mut fixture = Fixture::new().await;
    for _ in 0..RESTARTS_MAX {
        fixture.order(Order::Panic);
        fixture.expect(&AGAIN).await;
    }
    fixture.order(Order::Fail);
    let Ended::Exhausted { actor, cause } = fixture.node.ended().await else {
        panic!("it gave up");
    };
    assert_eq!((actor.as_str(), cause.as_str()), ("first", "as ordered"));
    fixture.expect(&["left", "left"]).await;
}

#[tokio::test(start_paused = true)]
async fn failures_that_lie_apart_do_not_add_up() {
    let mut fixture = Fixture::new().await;
    for _ in 0..3 * RESTARTS_MAX {
        fixture.order(Order::Panic);
        fixture.expect(&AGAIN).await;
        tokio::time::sleep(Duration::from_secs(15)).await;
    }
    fixture.node.stop();
    assert_eq!(fixture.node.ended().await, Ended::Asked);
}

#[tokio::test(start_paused = true)]
async fn after_a_fatal_failure_nothing_is_started_again() {
    let mut fixture = Fixture::new().await;
    fixture.order(Order::FailForGood);
    let expected = Ended::Fatal {
        actor: "first".to_owned(),
        cause: "the disk is gone".to_owned(),
    };
    assert_eq!(fixture.node.ended().await, expected);
    fixture.expect(&["left", "left"]).await;
}
