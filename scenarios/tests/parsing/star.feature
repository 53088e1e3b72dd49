# A star is as `And`, after any keyword.
Feature: Star
  Background:
    * a source keyspace "commerce" and a target keyspace "customer"
    * 500 rows in each of the tables "customer"
    And a workflow "move" from "commerce" to "customer"

  Scenario: after when
    Given a VDiff of "move" is running
    When the target tablet is killed at 50% of the diff
    * the supervisor restarts it
    Then the VDiff resumes by itself and completes within 60 seconds
    * every invariant holds

  Scenario: after given
    * a VDiff of "move" is running
    When the target tablet is killed at 50% of the diff
    * the supervisor restarts it
    And that is over
    Then the VDiff completes within 60 seconds
