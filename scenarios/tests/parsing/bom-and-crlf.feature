# An editor on Windows puts a mark first and ends lines in its own way.
Feature: Small
  Background:
    Given a source keyspace "commerce" and a target keyspace "customer"
    And 500 rows in each of the tables "customer"
    And 5 planted differences
    And planted runs of 0 differences
    And a workflow "move" from "commerce" to "customer"

  Scenario: killed at a half
    Given a VDiff of "move" is running
    When the target tablet is killed at 50% of the diff
    And the supervisor restarts it
    Then the VDiff resumes by itself and completes within 60 seconds
    And every invariant holds
