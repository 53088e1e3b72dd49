@sigkill
Feature: A diff survives a SIGKILL of its tablet, wherever it comes

  Background:
    Given a source keyspace "commerce" and a target keyspace "customer"
    And 4000 rows in each of the tables "customer, corder, product"
    And 37 planted differences
    And a workflow "move" from "commerce" to "customer"

  Scenario Outline: killed at a random moment of the diff, seed <seed>
    Given a VDiff of "move" is running
    When the target tablet is killed at a random moment of the diff, seed <seed>
    And the supervisor restarts it
    Then it is ready within 10 seconds and stays ready for 2 seconds
    And the VDiff resumes by itself and completes within 60 seconds
    And it reports exactly the planted differences
    And at most one checkpoint interval was compared twice
    And nothing is left behind
    And every invariant holds

    Examples:
      | seed |
      | 1    |
      | 2    |

  Scenario Outline: killed in the <phase> phase
    Given a VDiff of "move" is running
    When the target tablet is killed in the <phase> phase
    And the supervisor restarts it
    Then it is ready within 10 seconds and stays ready for 2 seconds
    And the VDiff resumes by itself and completes within 60 seconds
    And it reports exactly the planted differences
    And every invariant holds

    Examples:
      | phase      |
      | snapshot   |
      | streaming  |
      | reconcile  |
      | completing |

  Scenario: killed again while it recovers
    Given a VDiff of "move" is running
    When the target tablet is killed at 40% of the diff
    And the supervisor restarts it
    And the target tablet is killed again 150 milliseconds after its start
    And the supervisor restarts it
    Then it is ready within 10 seconds and stays ready for 2 seconds
    And the VDiff resumes by itself and completes within 60 seconds
    And it reports exactly the planted differences
    And every invariant holds
