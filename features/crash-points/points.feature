@crash-points @only:tablet
Feature: A diff survives a death at an exact point of its tablet's conversation

  The links of the target tablet pass the wire proxy, which holds the named statement or call while the
  tablet is struck. "before": it was never sent. "after the unanswered": it was executed, and the tablet
  does not hear of it. "after the answered": it was executed, and the tablet knows.

  Background:
    Given a source keyspace "commerce" and a target keyspace "customer"
    And 4000 rows in each of the tables "customer, corder, product"
    And 37 planted differences

  Scenario Outline: killed <when> 5th checkpoint
    Given the target tablet will be killed <when> 5th "update _vt.vdiff_table set rows_compared = ?, lastpk = ?, report = ?, mismatch = ?, checkpoints = coalesce(checkpoints, ?) + ? where vdiff_id = ? and table_name = ? and owner_epoch = ? and coalesce(state, ?) <> 'completed' and rows_compared <= ? and exists (select ? from _vt.vdiff v where v.id = ?)" to its MySQL in the streaming phase
    And a workflow "move" from "commerce" to "customer"
    And a VDiff of "move" is running
    When the crash points are behind it
    Then it is ready within 10 seconds and stays ready for 2 seconds
    And the VDiff resumes by itself and completes within 60 seconds
    And it reports exactly the planted differences
    And at most one checkpoint interval was compared twice
    And nothing is left behind
    And every invariant holds

    Examples:
      | when                 |
      | before the           |
      | after the unanswered |
      | after the answered   |

  Scenario: OOM-killed when it has the workflow's lock and does not know it
    Given the target tablet will be OOM-killed after the unanswered 2nd "etcd KV/Txn if /global/internal/named_locks/customer/move/lock absent then put /global/internal/named_locks/customer/move/lock leased" to etcd in the snapshot phase
    And a workflow "move" from "commerce" to "customer"
    And a VDiff of "move" is running
    When the crash points are behind it
    Then it is ready within 10 seconds and stays ready for 2 seconds
    And the VDiff resumes by itself and completes within 60 seconds
    And it reports exactly the planted differences
    And nothing is left behind
    And every invariant holds
