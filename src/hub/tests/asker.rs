//! Who asked gets the answer.

use super::*;

#[test]
fn who_asked_gets_the_result_and_is_the_cause() {
    let mut world = strip();
    let web = Asker { origin: Origin::Web, mark: Some("7".into()) };
    let order = SwitchOrder { asker: web.clone(), ..world.order(&[(2, SwitchAction::Off)]) };
    world.feed(Input::Commanded(HubRequest::Switch(order)));
    world.run(Duration::from_millis(30));
    let result = world.result();
    assert_eq!((result.error, &result.asker), (None, &web));
    assert_eq!(world.view(A).ports[1].cause, Some(Cause::Command(Origin::Web)));
    let note = Notification::Result(result);
    assert!(note.is_for(Origin::Web) && !note.is_for(Origin::Mqtt));
    let request = Request::DeviceRename { id: id(A), name: None };
    world.feed(Input::Commanded(HubRequest::Request(request, web.clone())));
    world.secs(2);
    assert_eq!(world.responses().pop().map(|response| &response.asker), Some(&web));
}
