/* libs: gemel_control_core */
#include "tests/unit/pair_world.h"

enum {
    A = 0,
    B = 1,
    MEET_MS = 500 /* two controls that see each other agree within this */
};

static struct world *make_world(void)
{
    struct world *world = memory_alloc(sizeof *world);
    world_init(world, 1);
    return world;
}

static struct world *make_pair(void)
{
    struct world *world = make_world();
    world_start(world, A);
    world_start(world, B);
    world_run(world, MEET_MS);
    return world;
}

static void end(struct world *world)
{
    world_fini(world);
    memory_free(world);
}

static void cut(struct world *world, bool is_cut)
{
    world->cut[A] = world->cut[B] = is_cut;
}

static void test_two_empty_controls_elect_the_configured_primary(void **state)
{
    (void)state;
    struct world *world = make_pair();
    world_assert_healed(world);
    assert_int_equal(world_leader(world), A);
    assert_int_equal(epoch_counter(world_status(world, B).epoch), 1);
    assert_string_equal(world_status(world, B).leader, "aaa");
    assert_int_equal(world->found_count, 2);
    assert_string_equal(world->found[B],
                        "Peer control found [ Peer: aaa:2001 ] [ Leader: aaa ] [ Epoch: 1 ] [ In Sync: yes ]");
    end(world);
}

static void test_a_secondary_with_an_empty_store_waits_for_the_primary_that_makes_the_cluster(void **state)
{
    (void)state;
    struct world *world = make_world();
    world_start(world, B);
    world_run(world, 60000);
    assert_int_equal(world_leader(world), -1);
    assert_string_equal(world->last_log,
                        "This control has an empty store and waits for its peer, which has or makes the "
                        "cluster [ Peer: aaa:2001 ]");
    world_start(world, A);
    world_run(world, MEET_MS);
    world_assert_healed(world);
    assert_int_equal(world_leader(world), A);
    world_crash(world, A);
    world_run(world, 4000);
    assert_int_equal(world_leader(world), B);
    end(world);
}

static void test_the_secondary_started_first_leads_only_after_the_discovery_time(void **state)
{
    (void)state;
    struct world *world = make_pair();
    world_crash(world, A);
    world_crash(world, B);
    world_start(world, B);
    world_run(world, 4990);
    assert_int_equal(world_leader(world), -1);
    world_run(world, 100);
    assert_int_equal(world_leader(world), B);
    assert_true(world_status(world, B).solo);
    world_start(world, A);
    world_run(world, MEET_MS);
    world_assert_healed(world);
    assert_int_equal(world_leader(world), B);
    end(world);
}

static void test_a_single_configured_control_leads_at_once(void **state)
{
    (void)state;
    struct world *world = make_world();
    world->nodes[A].config.clustered = false;
    world_start(world, A);
    world_run(world, 10);
    assert_true(world->nodes[A].acting);
    uint64_t operation = world_propose(world, A);
    world_run(world, 10);
    assert_true(world_is_acknowledged(world, operation));
    assert_false(world->acks[0].solo);
    end(world);
}

static void test_an_operation_is_acknowledged_only_when_both_have_fsynced_it(void **state)
{
    (void)state;
    struct world *world = make_pair();
    world->nodes[B].fsync_ms = 200;
    uint64_t operation = world_propose(world, A);
    world_run(world, 150);
    assert_true(world_has(world, A, operation));
    assert_false(world_is_acknowledged(world, operation));
    world_run(world, 150);
    assert_true(world_is_acknowledged(world, operation));
    assert_true(world_has(world, B, operation));
    assert_false(world->acks[0].solo);
    end(world);
}

static void test_a_follower_refuses_proposals(void **state)
{
    (void)state;
    struct world *world = make_pair();
    world_propose(world, B);
    assert_int_equal(world->refused_code, -ENOTCONN);
    end(world);
}

static void test_a_leader_acts_alone_only_after_suspect_and_says_so(void **state)
{
    (void)state;
    struct world *world = make_pair();
    world_crash(world, B);
    uint64_t operation = world_propose(world, A);
    world_run(world, 850);
    assert_false(world_is_acknowledged(world, operation));
    world_run(world, 400);
    assert_true(world_is_acknowledged(world, operation));
    assert_true(world->acks[0].solo);
    assert_int_equal(world->nodes[A].meta.record.members, PAIR_SELF_ALONE);
    assert_int_equal(world_status(world, A).peer, PAIR_PEER_UNSEEN);
    end(world);
}

static void test_nothing_is_acknowledged_alone_before_the_record_is_on_the_disk(void **state)
{
    (void)state;
    struct world *world = make_pair();
    world_crash(world, B);
    world->nodes[A].fsync_ms = 300;
    uint64_t operation = world_propose(world, A);
    world_run(world, 1200); /* the operation is stored, the record that says alone is being written */
    assert_true(world_has(world, A, operation));
    assert_false(world_is_acknowledged(world, operation));
    world_run(world, 400);
    assert_true(world_is_acknowledged(world, operation));
    end(world);
}

static void test_a_follower_is_let_in_only_when_it_has_everything_that_was_acknowledged(void **state)
{
    (void)state;
    struct world *world = make_pair();
    world_crash(world, B);
    world_run(world, 1500);
    for (int i = 0; i < 10; i++)
        world_propose(world, A);
    world_run(world, 100);
    assert_int_equal(world->ack_count, 10);
    world->nodes[B].fsync_ms = 300;
    world_start(world, B);
    world_run(world, 250);
    assert_false(world_has(world, B, 10));
    assert_int_equal(world->nodes[A].meta.record.members, PAIR_SELF_ALONE);
    assert_int_equal(world_status(world, A).peer, PAIR_PEER_CATCHING_UP);
    world->nodes[B].fsync_ms = 9;
    /* and it never stops: the leader must hold its acknowledgements back to let it in */
    for (int i = 0; i < 300; i++) {
        world_propose(world, A);
        world_run(world, 10);
    }
    assert_int_equal(world->nodes[A].meta.record.members, PAIR_BOTH);
    world_run(world, 1500);
    world_assert_healed(world);
    end(world);
}

static void test_a_follower_that_comes_back_catches_up_and_is_let_in(void **state)
{
    (void)state;
    struct world *world = make_pair();
    world_crash(world, B);
    world_run(world, 1500);
    for (int i = 0; i < 1000; i++) {
        world_propose(world, A);
        world_run(world, 2);
    }
    assert_int_equal(world->ack_count, 1000);
    world_start(world, B);
    world_run(world, 1000);
    world_assert_healed(world);
    assert_int_equal(world_leader(world), A);
    assert_int_equal(world->lead_count, 1);
    end(world);
}

static void test_a_follower_leads_after_the_lease_and_keeps_every_acknowledged_operation(void **state)
{
    (void)state;
    struct world *world = make_pair();
    uint64_t operation = world_propose(world, A);
    world_run(world, 100);
    assert_true(world_is_acknowledged(world, operation));
    world_crash(world, A);
    world_run(world, 2800);
    assert_int_equal(world_leader(world), -1);
    world_run(world, 400);
    assert_int_equal(world_leader(world), B);
    assert_true(world_has(world, B, operation));
    /* and the former leader follows: nothing fails back by itself */
    world_start(world, A);
    world_run(world, 10000);
    world_assert_healed(world);
    assert_int_equal(world_leader(world), B);
    end(world);
}

static void test_a_leader_that_stops_on_purpose_lets_its_peer_lead_at_once(void **state)
{
    (void)state;
    struct world *world = make_pair();
    struct pair_event event = {.type = PAIR_EVENT_STOP};
    world_step(world, A, &event);
    assert_false(world->nodes[A].acting);
    world_run(world, 20);
    world_crash(world, A);
    uint64_t operation = world_propose(world, B);
    world_run(world, 1200); /* suspect, not the lease */
    assert_int_equal(world_leader(world), B);
    assert_true(world_is_acknowledged(world, operation));
    end(world);
}

static void test_a_restarted_leader_never_resumes_its_epoch(void **state)
{
    (void)state;
    struct world *world = make_pair();
    uint64_t epoch = world_status(world, A).epoch;
    world_crash(world, A);
    world_start(world, A);
    assert_int_equal(world_status(world, A).state, PAIR_FOLLOWING);
    world_run(world, MEET_MS);
    world_assert_healed(world);
    assert_true(world_status(world, A).epoch > epoch);
    end(world);
}

static void test_a_cut_link_lets_both_lead_and_the_side_without_operations_yields(void **state)
{
    (void)state;
    struct world *world = make_pair();
    cut(world, true);
    world_run(world, 1500);
    uint64_t operation = world_propose(world, A);
    world_run(world, 4000);
    assert_true(world->nodes[A].acting && world->nodes[B].acting);
    assert_true(world_is_acknowledged(world, operation));
    cut(world, false);
    world_run(world, 3000);
    world_assert_healed(world);
    /* B's epoch was the higher one, but it had nothing to lose */
    assert_int_equal(world_leader(world), A);
    assert_true(world_has(world, B, operation));
    assert_int_equal(world->nodes[B].diverged_count, 0);
    end(world);
}

static void test_when_both_led_and_acknowledged_the_higher_epoch_wins_and_the_rest_is_kept(void **state)
{
    (void)state;
    struct world *world = make_pair();
    cut(world, true);
    world_run(world, 5000);
    uint64_t of_a = world_propose(world, A);
    uint64_t of_b = world_propose(world, B);
    world_run(world, 100);
    assert_true(world_is_acknowledged(world, of_a) && world_is_acknowledged(world, of_b));
    cut(world, false);
    world_run(world, 3000);
    world_assert_healed(world);
    assert_int_equal(world_leader(world), B);
    assert_true(world_has(world, A, of_b));
    assert_false(world_has(world, A, of_a));
    assert_true(world_was_set_aside(world, of_a));
    end(world);
}

static void test_an_unacknowledged_tail_of_a_dead_leader_is_cut(void **state)
{
    (void)state;
    struct world *world = make_pair();
    world->cut[B] = true; /* what A sends is lost; A still hears B */
    uint64_t operation = world_propose(world, A);
    world_run(world, 50);
    world_crash(world, A);
    world->cut[B] = false;
    assert_true(world_has(world, A, operation));
    world_run(world, 4000);
    assert_int_equal(world_leader(world), B);
    world_start(world, A);
    world_run(world, 1000);
    world_assert_healed(world);
    assert_false(world_has(world, A, operation));
    assert_false(world_is_acknowledged(world, operation));
    assert_int_equal(world->nodes[A].diverged_count, 0);
    end(world);
}

static void test_a_stale_epoch_makes_a_leader_step_down(void **state)
{
    (void)state;
    struct world *world = make_pair();
    uint64_t epoch = world_status(world, A).epoch;
    struct pair_event event = {.type = PAIR_EVENT_STALE_EPOCH, .epoch_now = epoch_next(epoch, 2)};
    world_step(world, A, &event);
    assert_false(world->nodes[A].acting);
    world_run(world, 1000);
    world_assert_healed(world);
    assert_true(world_status(world, A).epoch > epoch_next(epoch, 2));
    end(world);
}

static void test_a_message_of_a_former_epoch_is_answered_with_stale_epoch(void **state)
{
    (void)state;
    struct world *world = make_pair();
    Gemel__LogPosition last = GEMEL__LOG_POSITION__INIT;
    Gemel__PairAppend append = GEMEL__PAIR_APPEND__INIT;
    append.prev = &last;
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    envelope.protocol = 1;
    envelope.incarnation = world->nodes[A].config.incarnation;
    envelope.epoch = 1; /* counter 0 */
    envelope.body_case = GEMEL__ENVELOPE__BODY_PAIR_APPEND;
    envelope.pair_append = &append;
    struct pair_event event = {.type = PAIR_EVENT_PEER_MESSAGE, .now_ms = world->now_ms, .message = &envelope};
    struct pair_actions actions;
    pair_actions_init(&actions);
    assert_int_equal(pair_step(world->nodes[B].core, &event, &actions), 0);
    assert_int_equal(actions.count, 1);
    assert_int_equal(actions.items[0].send->body_case, GEMEL__ENVELOPE__BODY_STALE_EPOCH);
    assert_int_equal(actions.items[0].send->stale_epoch->epoch_now, world_status(world, B).epoch);
    pair_actions_fini(&actions);
    end(world);
}

static void test_a_full_disk_refuses_before_acknowledging_and_the_peer_leads(void **state)
{
    (void)state;
    struct world *world = make_pair();
    world->nodes[A].disk_full = true;
    uint64_t operation = world_propose(world, A);
    world_run(world, 500);
    assert_false(world_is_acknowledged(world, operation));
    assert_int_equal(world->refused_code, -ENOSPC);
    assert_false(world_has(world, B, operation));
    world_run(world, 1000);
    assert_int_equal(world_leader(world), B);
    uint64_t next = world_propose(world, B);
    world_run(world, 2500);
    assert_true(world_is_acknowledged(world, next));
    world->nodes[A].disk_full = false;
    world_run(world, 3000);
    world_assert_healed(world);
    end(world);
}

static void test_a_follower_with_a_full_disk_does_not_stop_the_leader(void **state)
{
    (void)state;
    struct world *world = make_pair();
    world->nodes[B].disk_full = true;
    uint64_t operation = world_propose(world, A);
    world_run(world, 2000);
    assert_true(world_is_acknowledged(world, operation));
    assert_true(world->acks[0].solo);
    world->nodes[B].disk_full = false;
    world_run(world, 3000);
    world_assert_healed(world);
    assert_int_equal(world_leader(world), A);
    end(world);
}

static void test_freeze_acknowledges_nothing_alone_and_promotes_nobody(void **state)
{
    (void)state;
    struct world *world = make_world();
    world->nodes[A].config.policy = world->nodes[B].config.policy = PAIR_FREEZE;
    world_start(world, A);
    world_run(world, 10000);
    assert_int_equal(world_leader(world), -1);
    world_start(world, B);
    world_run(world, MEET_MS);
    assert_int_equal(world_leader(world), A);
    cut(world, true);
    uint64_t operation = world_propose(world, A);
    world_run(world, 10000);
    assert_int_equal(world_leader(world), -1);
    assert_false(world->nodes[A].acting || world->nodes[B].acting);
    assert_false(world_is_acknowledged(world, operation));
    assert_int_equal(world->refused_code, -EINPROGRESS);
    cut(world, false);
    world_run(world, 1000);
    world_assert_healed(world);
    end(world);
}

static void test_two_clusters_refuse_each_other(void **state)
{
    (void)state;
    struct world *world = make_world();
    cut(world, true);
    snprintf(world->nodes[B].meta.cluster_id, sizeof world->nodes[B].meta.cluster_id, "another");
    world_start(world, A);
    world_start(world, B);
    world_run(world, 6000);
    assert_true(world->nodes[A].acting && world->nodes[B].acting);
    cut(world, false);
    world_run(world, 60000);
    assert_true(world->nodes[A].acting && world->nodes[B].acting);
    assert_string_equal(world->last_log, "Peer control not found yet [ Peer: aaa:2001 ] "
                                         "[ Last Error: its store belongs to another cluster ]");
    end(world);
}

static void test_a_control_with_an_empty_disk_takes_everything_from_its_peer(void **state)
{
    (void)state;
    struct world *world = make_pair();
    for (int i = 0; i < 400; i++)
        world_propose(world, A);
    world_run(world, 1000);
    assert_int_equal(world->ack_count, 400);
    world_crash(world, A);
    oplog_truncate(world->nodes[A].disk, 0);
    world->nodes[A].meta = (struct pair_meta){0};
    world->nodes[A].applied = 0;
    world_start(world, A);
    world_run(world, 2000);
    world_assert_healed(world);
    assert_int_equal(world_leader(world), B);
    end(world);
}

static void test_a_core_that_was_not_run_for_a_while_does_not_blame_its_peer(void **state)
{
    (void)state;
    struct world *world = make_pair();
    world->message_count = 0; /* what was on its way is lost, nobody runs for an hour */
    world->now_ms += 3600 * 1000;
    world_run(world, 900);
    world_assert_healed(world);
    assert_int_equal(world->lead_count, 1);
    end(world);
}

static void test_a_late_message_of_a_dead_incarnation_changes_nothing(void **state)
{
    (void)state;
    struct world *world = make_pair();
    uint64_t old = world->nodes[B].config.incarnation;
    world_crash(world, B);
    world_start(world, B);
    world_run(world, MEET_MS);
    world_assert_healed(world);
    Gemel__LogPosition last = GEMEL__LOG_POSITION__INIT;
    Gemel__PairHello hello = GEMEL__PAIR_HELLO__INIT;
    hello.node = 2;
    hello.last = &last;
    hello.sequence = 1000;
    hello.host = hello.leader_host = hello.policy = (char[]){""};
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    envelope.protocol = 1;
    envelope.incarnation = old;
    envelope.body_case = GEMEL__ENVELOPE__BODY_PAIR_HELLO;
    envelope.pair_hello = &hello;
    struct pair_event event = {.type = PAIR_EVENT_PEER_MESSAGE, .message = &envelope};
    world_step(world, A, &event);
    world_run(world, 500);
    world_assert_healed(world);
    uint64_t operation = world_propose(world, A);
    world_run(world, 100);
    assert_true(world_is_acknowledged(world, operation));
    end(world);
}

static void test_events_that_make_no_sense_are_errors(void **state)
{
    (void)state;
    struct world *world = make_pair();
    struct pair_actions actions;
    pair_actions_init(&actions);
    struct pair_event start = {.type = PAIR_EVENT_START, .now_ms = world->now_ms};
    assert_int_equal(pair_step(world->nodes[A].core, &start, &actions), -EINVAL);
    struct pair_event stored = {.type = PAIR_EVENT_STORED, .now_ms = world->now_ms, .stored = 1000000};
    assert_int_equal(pair_step(world->nodes[A].core, &stored, &actions), -EINVAL);
    struct pair_event arbiter = {.type = PAIR_EVENT_ARBITER_APPENDED, .now_ms = world->now_ms};
    assert_int_equal(pair_step(world->nodes[A].core, &arbiter, &actions), -EINVAL);
    struct pair_core *idle = NULL;
    assert_int_equal(pair_create(&idle, &world->nodes[A].config), 0);
    struct pair_event tick = {.type = PAIR_EVENT_TICK};
    assert_int_equal(pair_step(idle, &tick, &actions), -EINVAL);
    pair_destroy(&idle);
    pair_actions_fini(&actions);
    end(world);
}

static void test_a_blip_of_the_link_changes_no_leader(void **state)
{
    (void)state;
    for (int64_t blip_ms = 10; blip_ms < 2900; blip_ms += 170) {
        struct world *world = make_pair();
        cut(world, true);
        uint64_t operation = world_propose(world, A);
        world_run(world, blip_ms);
        cut(world, false);
        world_run(world, 1500);
        world_assert_healed(world);
        assert_int_equal(world->lead_count, 1);
        assert_true(world_is_acknowledged(world, operation));
        end(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_empty_controls_elect_the_configured_primary),
        cmocka_unit_test(test_a_secondary_with_an_empty_store_waits_for_the_primary_that_makes_the_cluster),
        cmocka_unit_test(test_the_secondary_started_first_leads_only_after_the_discovery_time),
        cmocka_unit_test(test_a_single_configured_control_leads_at_once),
        cmocka_unit_test(test_an_operation_is_acknowledged_only_when_both_have_fsynced_it),
        cmocka_unit_test(test_a_follower_refuses_proposals),
        cmocka_unit_test(test_a_leader_acts_alone_only_after_suspect_and_says_so),
        cmocka_unit_test(test_nothing_is_acknowledged_alone_before_the_record_is_on_the_disk),
        cmocka_unit_test(test_a_follower_is_let_in_only_when_it_has_everything_that_was_acknowledged),
        cmocka_unit_test(test_a_follower_that_comes_back_catches_up_and_is_let_in),
        cmocka_unit_test(test_a_follower_leads_after_the_lease_and_keeps_every_acknowledged_operation),
        cmocka_unit_test(test_a_leader_that_stops_on_purpose_lets_its_peer_lead_at_once),
        cmocka_unit_test(test_a_restarted_leader_never_resumes_its_epoch),
        cmocka_unit_test(test_a_cut_link_lets_both_lead_and_the_side_without_operations_yields),
        cmocka_unit_test(test_when_both_led_and_acknowledged_the_higher_epoch_wins_and_the_rest_is_kept),
        cmocka_unit_test(test_an_unacknowledged_tail_of_a_dead_leader_is_cut),
        cmocka_unit_test(test_a_stale_epoch_makes_a_leader_step_down),
        cmocka_unit_test(test_a_message_of_a_former_epoch_is_answered_with_stale_epoch),
        cmocka_unit_test(test_a_full_disk_refuses_before_acknowledging_and_the_peer_leads),
        cmocka_unit_test(test_a_follower_with_a_full_disk_does_not_stop_the_leader),
        cmocka_unit_test(test_freeze_acknowledges_nothing_alone_and_promotes_nobody),
        cmocka_unit_test(test_two_clusters_refuse_each_other),
        cmocka_unit_test(test_a_control_with_an_empty_disk_takes_everything_from_its_peer),
        cmocka_unit_test(test_a_core_that_was_not_run_for_a_while_does_not_blame_its_peer),
        cmocka_unit_test(test_a_late_message_of_a_dead_incarnation_changes_nothing),
        cmocka_unit_test(test_events_that_make_no_sense_are_errors),
        cmocka_unit_test(test_a_blip_of_the_link_changes_no_leader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
