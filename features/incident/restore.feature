@incident
Feature: What goes wrong while diffs are being restored does not hurt the tablet
  The second half of the incident: the shard sync loop dereferenced the event of a watch that had
  ended, while the tablet restored its diffs after the crash.

  Background:
    Given a source keyspace "commerce" and a target keyspace "customer"
    And 4000 rows in each of the tables "customer, corder, product"
    And 37 planted differences
    And a workflow "move" from "commerce" to "customer"

  @own-servers
  Scenario: every watch ends while the diff is restored
    Given a VDiff of "move" is running
    When the target tablet is killed at 30% of the diff
    And the supervisor restarts it
    And etcd is restarted
    Then it is ready within 20 seconds and stays ready for 2 seconds
    And the VDiff resumes by itself and completes within 60 seconds
    And it reports exactly the planted differences
    And every invariant holds

  # The next primary is a record in etcd only: nobody finishes the diff (I3), nobody reports it (I4).
  @allows:I3 @allows:I4
  Scenario: a newer primary term arrives while the diff is restored
    Given a VDiff of "move" is running
    When the target tablet is killed at 30% of the diff
    And the supervisor restarts it
    Then it is ready within 10 seconds and stays ready for 0 seconds
    When another tablet becomes the primary of the target shard
    Then it serves as a replica within 5 seconds
    And the VDiff is left for the next primary to resume
    And the tablet never panicked

  @own-servers
  Scenario: the machine goes down, and the tablet comes up before its MySQL
    Given a VDiff of "move" is running
    When the target tablet and its MySQL die together at 50% of the diff
    And the supervisor restarts it
    Then it is ready within 20 seconds and stays ready for 2 seconds
    And the VDiff resumes by itself and completes within 60 seconds
    And it reports exactly the planted differences
    And every invariant holds
