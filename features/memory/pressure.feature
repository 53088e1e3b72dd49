@memory
Feature: Under memory pressure a diff steps back before the kernel steps in

  Background:
    Given a source keyspace "commerce" and a target keyspace "customer"
    And 4000 rows in each of the tables "customer, corder, product"
    And 37 planted differences
    And a workflow "move" from "commerce" to "customer"

  Scenario: the diff pauses under pressure and goes on by itself afterwards
    Given a VDiff of "move" is running
    When the target tablet's memory fills up slowly at 30% of the diff
    Then the VDiff pauses because of "memory pressure"
    When the memory is released
    Then the VDiff resumes by itself and completes within 60 seconds
    And it reports exactly the planted differences
    And every invariant holds

  Scenario: a pause survives a restart
    Given a VDiff of "move" is running
    When the target tablet's memory fills up slowly at 30% of the diff
    Then the VDiff pauses because of "memory pressure"
    When the target tablet is killed
    And the supervisor restarts it
    Then it is ready within 10 seconds and stays ready for 2 seconds
    And the VDiff resumes by itself and completes within 60 seconds
    And it reports exactly the planted differences
    And every invariant holds
