@incident @oom
Feature: A tablet that runs out of memory in the middle of a diff comes back
  As in vitessio/vitess#17637, without the crash loop: a tablet was OOM-killed while a VDiff ran,
  was started again, found the VDiff still "started", tried to resume it, and crashed for ever.

  Background:
    Given a source keyspace "commerce" and a target keyspace "customer"
    And 4000 rows in each of the tables "customer, corder, product"
    And 37 planted differences
    And a workflow "move" from "commerce" to "customer"

  Scenario Outline: the kernel kills it at <progress>% of the diff
    Given a VDiff of "move" is running
    When the target tablet is OOM-killed at <progress>% of the diff
    And the supervisor restarts it
    Then it is ready within 10 seconds and stays ready for 2 seconds
    And the VDiff resumes by itself and completes within 60 seconds
    And it reports exactly the planted differences
    And at most one checkpoint interval was compared twice
    And nothing is left behind
    And every invariant holds

    @smoke
    Examples:
      | progress |
      | 50       |

    Examples:
      | progress |
      | 15       |
      | 85       |

  Scenario: the operator's workaround of the incident still works
    Given a VDiff of "move" is running
    When the target tablet is killed at 40% of the diff, and the operator deletes the VDiff's row
    And the supervisor restarts it, and the operator creates a new VDiff
    Then it is ready within 10 seconds and stays ready for 2 seconds
    And the VDiff completes within 60 seconds
    And it reports exactly the planted differences
    And every invariant holds
